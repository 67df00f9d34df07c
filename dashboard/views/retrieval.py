"""Retrieval: what whitening repairs and breaks."""

from dashboard import widgets

widgets.heading("retrieval")
