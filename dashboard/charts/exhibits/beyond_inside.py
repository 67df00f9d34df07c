"""Beyond the study: a concept switched off on the pooled row and inside the model."""

from dashboard.charts.exhibits.drawing import Drawing

DRAWINGS: tuple[Drawing, ...] = (
    Drawing(
        kind="dots",
        title="Change of recall@1 without one of the contributing concepts",
        x="named",
        y="change",
        series="edit",
        panel="run",
        where={"part": ["concept off"], "chosen": ["contributing"]},
        melt={"gain_pooled": "on the pooled row", "gain_inside": "inside the model"},
        unit="points",
        axis="points",
    ),
    Drawing(
        kind="dots",
        title="Agreement of the two edits over concepts",
        x="of",
        y="correlation",
        series="chosen",
        panel="run",
        where={"part": ["agreement of the edits"]},
        unit="plain",
        axis="Spearman's correlation, 95% interval over concepts",
    ),
)
