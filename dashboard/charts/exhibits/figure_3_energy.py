"""Figure 3: how few concepts hold the energy."""

from dashboard.charts.exhibits.drawing import Drawing

DRAWINGS: tuple[Drawing, ...] = (
    Drawing(
        kind="lines",
        title="Concepts that hold a share of the energy, in units of K (the concepts of one item)",
        x="energy_held",
        y="in_k",
        unit="plain",
        axis="share of energy held",
    ),
)
