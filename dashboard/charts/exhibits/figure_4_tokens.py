"""Figure 4: recall by the tokens that are pooled."""

from dashboard.charts.exhibits.drawing import Drawing

DRAWINGS: tuple[Drawing, ...] = (
    Drawing(kind="bars", title="{metric} by the tokens that are pooled", x="mask", series="variant", panel="run"),
)
