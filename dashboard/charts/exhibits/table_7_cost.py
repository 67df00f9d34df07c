"""Table 7: what ReAlign costs."""

from dashboard.charts.exhibits.drawing import Drawing

DRAWINGS: tuple[Drawing, ...] = (
    Drawing(
        kind="dots",
        title="Seconds, this machine",
        x="run",
        y="seconds",
        series="step",
        unit="plain",
        axis="seconds (log)",
        log=True,
        melt={
            "realign_seconds": "ReAlign",
            "realign_apply_seconds": "applying alone",
            "similarity_seconds": "similarities",
        },
        where={"shapes": ["the run's"]},
    ),
)
