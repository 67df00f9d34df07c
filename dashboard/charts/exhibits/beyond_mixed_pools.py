"""Beyond the study: pools of several modalities."""

from dashboard.charts.exhibits.drawing import Drawing

DRAWINGS: tuple[Drawing, ...] = (
    Drawing(
        kind="bars", title="{value}: recall@1 by the modality that is wanted", x="label", y="recall@1",
        series="wanted", apart="run",
    ),
    Drawing(
        kind="bars", title="{value}: how often the wanted modality is missed", x="label", y="missed",
        series="wanted", apart="run",
    ),
)  # fmt: skip
