"""Beyond the study: where whitening's gain comes from."""

from dashboard.charts.exhibits.drawing import Drawing

DRAWINGS: tuple[Drawing, ...] = (
    Drawing(
        kind="dots",
        title="{value}: change of recall@1 by each ingredient",
        x="label",
        y="gain",
        series="part",
        apart="run",
        without={"label": ["raw cosine"]},
        axis="points against the setting without it",
    ),
)
