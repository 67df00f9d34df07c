"""Beyond the study: which kinds of tokens carry the loudest concepts."""

from dashboard.charts.exhibits.drawing import Drawing

DRAWINGS: tuple[Drawing, ...] = (
    Drawing(
        kind="bars",
        title="Share of the attribution of each concept, by kind of token",
        x="token_kind",
        y="share",
        series="named",
        panel="run",
        axis="share of the attribution",
        unit="percent",
        where={"token_kind": ["image", "text", "prompt", "template"]},
    ),
)
