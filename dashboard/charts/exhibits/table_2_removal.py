"""Table 2: recall without some concepts."""

from dashboard.charts.exhibits.drawing import Drawing

DRAWINGS: tuple[Drawing, ...] = (
    Drawing(kind="bars", title="{metric} without some concepts", x="removal", series="removal", panel="run"),
)
