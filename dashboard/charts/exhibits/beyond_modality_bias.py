"""Beyond the study: what carries modality bias."""

from dashboard.charts.exhibits.drawing import Drawing

DRAWINGS: tuple[Drawing, ...] = (
    Drawing(
        kind="dots", title="{value}: bias of the ten nearest towards each modality", x="variant", y="bias",
        series="modality", apart="run", where={"part": ["modality bias"]},
        axis="points",
    ),
    Drawing(
        kind="dots", title="{value}: parts of the preference for an unwanted modality (negative: for it)",
        x="carrier", y="term", series="run", apart="run", own=True, unit="plain", where={"part": ["carried by"]},
        axis="mean term of the margin",
    ),
    Drawing(
        kind="dots", title="{value}: the concepts that carry most", x="named", y="term_mean", series="run",
        apart="run", own=True, unit="plain", where={"part": ["concepts that carry it"]},
        axis="mean term of the margin",
    ),
)  # fmt: skip
