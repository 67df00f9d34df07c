"""Beyond the study: a removal's change of recall, through the means and through the rows."""

from dashboard.charts.exhibits.drawing import Drawing

PARTS = ["through the means", "through the rows"]
DRAWINGS: tuple[Drawing, ...] = (
    Drawing(
        kind="bars",
        title="{metric} by what of the subspace is taken away",
        x="setting",
        panel="run",
        series="run",
        without={"setting": PARTS},
    ),
    Drawing(
        kind="dots",
        title="The removal's change of {metric}, taken apart",
        x="setting",
        y="gain",
        series="run",
        where={"setting": ["removal", *PARTS]},
        axis="points",
    ),
)
