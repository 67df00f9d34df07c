"""Similarity: why two items are similar, concept by concept."""

from dashboard import widgets

widgets.heading("similarity")
