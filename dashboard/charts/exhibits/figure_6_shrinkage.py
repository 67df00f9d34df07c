"""Figure 6: recall over the shrinkage."""

from dashboard.charts.exhibits.drawing import Drawing

DRAWINGS: tuple[Drawing, ...] = (
    Drawing(
        kind="lines",
        title="{metric} over the shrinkage",
        x="beta",
        panel="run",
        series="variant",
        level={"variant": ["none"]},
        axis="shrinkage β (0 whitens fully, 1 only centres)",
        own=True,
    ),
)
