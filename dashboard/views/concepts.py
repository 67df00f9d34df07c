"""Concepts: what each fires on."""

from dashboard import widgets

widgets.heading("concepts")
