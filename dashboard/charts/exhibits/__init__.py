"""One module per exhibit, named as the exhibit's file in `core/exhibits`: which figures show it. `draw` draws them.

The registry of core is the only list of exhibits: a module here is found by the name of that file.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pandas as pd

from dashboard.charts.exhibits.drawing import Drawing, Drawn
from dashboard.charts.exhibits.drawing import draw as draw_all

__all__ = ["Drawing", "Drawn", "draw", "drawings"]


def drawings(file: str) -> tuple[Drawing, ...]:
    """The drawings of the exhibit in that file of `core/exhibits`, e.g. "figure_2_modality"; none where it has no
    module here."""
    name = f"{__name__}.{file}"
    if find_spec(name) is None:
        return ()
    drawings: tuple[Drawing, ...] = import_module(name).DRAWINGS
    return drawings


def draw(file: str, table: pd.DataFrame, options: Mapping[str, Any] | None = None) -> list[Drawn]:
    """The figures of an exhibit's table; none where it has no drawing or nothing to draw: its table alone is shown."""
    return draw_all(drawings(file), table, options)
