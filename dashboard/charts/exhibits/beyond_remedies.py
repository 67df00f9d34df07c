"""Beyond the study: gain of every remedy."""

from dashboard.charts.exhibits.drawing import Drawing

DRAWINGS: tuple[Drawing, ...] = (
    Drawing(
        kind="dots",
        title="{value}: gain of recall@1",
        x="remedy",
        y="gain",
        series="remedy_kind",
        apart="run",
        without={"remedy_kind": ["baseline"]},
        axis="points; 0: the raw cosine",
        sort=True,
    ),
)
