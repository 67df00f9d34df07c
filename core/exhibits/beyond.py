"""What the study leaves out: further questions on the same runs, each as an exhibit of the group "beyond"."""

from __future__ import annotations

from core.exhibits.registry import Exhibit

BEYOND: tuple[Exhibit, ...] = ()
"""In the order they are listed."""
