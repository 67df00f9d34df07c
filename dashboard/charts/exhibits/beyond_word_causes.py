"""Beyond the study: the word for a thing, without its concept and without others."""

from dashboard.charts.exhibits.drawing import Drawing

DRAWINGS: tuple[Drawing, ...] = (
    Drawing(
        kind="bars",
        title="Share of cases in which the word is lowered, by what is switched off",
        x="switched",
        y="share_lowered",
        panel="run",
        series="run",
        where={"part": ["share of cases"]},
    ),
)
