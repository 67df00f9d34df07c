"""Figure 5: recall by layer."""

from dashboard.charts.exhibits.drawing import Drawing

DRAWINGS: tuple[Drawing, ...] = (
    Drawing(
        kind="lines",
        title="{metric} by layer",
        x="layer",
        series="variant",
        panel="run",
        axis="layer (0: the input)",
    ),
)
