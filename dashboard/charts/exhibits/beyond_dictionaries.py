"""Beyond the study: conclusions under other dictionaries."""

from dashboard.charts.exhibits.drawing import Drawing

DRAWINGS: tuple[Drawing, ...] = (
    Drawing(
        kind="dots",
        title="{value}",
        x="dictionary",
        y="value",
        apart="conclusion",
        melt={
            "share_text": "Concepts that speak text",
            "share_for_99": "Concepts that hold 99% of the energy",
            "overlap_all": "Overlap of the three top sets",
            "gain": "Recall@1 without the top 1%, in points",
            "beyond_random": "The same minus random concepts, in points",
        },
        axis="dotted: threshold of the rule",
        limits={
            "Concepts that speak text": [0.5],
            "Concepts that hold 99% of the energy": [0.1],
            "Overlap of the three top sets": [0.5],
        },
    ),
)
