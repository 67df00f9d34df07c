"""Beyond the study: how faithful the contributions are."""

from dashboard.charts.exhibits.drawing import Drawing

DRAWINGS: tuple[Drawing, ...] = (
    Drawing(
        kind="dots",
        title="Area between insertion and deletion: higher is more faithful",
        x="method",
        y="between",
        series="run",
        axis="mean cosine, insertion minus deletion",
        unit="plain",
    ),
)
