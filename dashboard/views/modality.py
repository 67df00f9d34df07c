"""Modality: which concepts speak text or image, and where the energy is."""

from dashboard import widgets

widgets.heading("modality")
