"""Beyond the study: gain over the number of support queries."""

from dashboard.charts.exhibits.drawing import Drawing

DRAWINGS: tuple[Drawing, ...] = (
    Drawing(
        kind="lines",
        title="Gain of recall@1 over raw, in points",
        x="size",
        y="gain",
        series="variant",
        panel="run",
        log=True,
        axis="support queries (log)",
        own=True,
    ),
)
