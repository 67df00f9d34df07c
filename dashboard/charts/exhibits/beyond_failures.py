"""Beyond the study: concepts that decide failures."""

from dashboard.charts.exhibits.drawing import Drawing

DRAWINGS: tuple[Drawing, ...] = (
    Drawing(
        kind="bars",
        title="{value}: failures that a concept decides",
        x="named",
        y="share_of_failures",
        apart="run",
        own=True,
        where={"part": ["concept"]},
    ),
    Drawing(
        kind="dots",
        title="Recall@1 with concepts switched off",
        x="count",
        y="gain",
        series="choice",
        panel="run",
        where={"part": ["switched off"]},
        named="{} switched off",
        axis="points; 0: nothing switched off",
    ),
)
