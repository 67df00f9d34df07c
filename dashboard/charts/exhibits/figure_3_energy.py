"""Figure 3: how few concepts hold the energy."""

from dashboard.charts.exhibits.drawing import Drawing

DRAWINGS: tuple[Drawing, ...] = (
    Drawing(
        kind="lines",
        title="Share of the concepts that hold a share of the energy",
        x="energy_held",
        y="share",
        axis="share of energy held",
        limits={"a tenth of the concepts": [0.1]},
    ),
)
