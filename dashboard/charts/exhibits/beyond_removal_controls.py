"""Beyond the study: removal beside its controls."""

from dashboard.charts.exhibits.drawing import Drawing

DRAWINGS: tuple[Drawing, ...] = (
    Drawing(
        kind="lines",
        title="{metric} after removal, {value}",
        x="amount",
        series="removal",
        panel="run",
        apart="then",
        apart_as="variant",
        level={"removal": ["no removal"]},
        axis="removed, {along} (log)",
        log=True,
    ),
)
