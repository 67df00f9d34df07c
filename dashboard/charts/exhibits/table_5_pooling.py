"""Table 5: recall by pooling."""

from dashboard.charts.exhibits.drawing import Drawing

DRAWINGS: tuple[Drawing, ...] = (
    Drawing(kind="bars", title="{metric} by pooling", x="pooling", series="variant", panel="run"),
)
