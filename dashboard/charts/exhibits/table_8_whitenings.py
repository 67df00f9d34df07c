"""Table 8: recall by whitening."""

from dashboard.charts.exhibits.drawing import Drawing

DRAWINGS: tuple[Drawing, ...] = (
    Drawing(kind="bars", title="{metric} by whitening", x="variant", series="variant", panel="run"),
)
