"""Table 1: overlap of the top concepts."""

from dashboard.charts.exhibits.drawing import Drawing

DRAWINGS: tuple[Drawing, ...] = (Drawing(kind="bars", title="Overlap of the top sets", x="measures", y="overlap"),)
