"""Figure 2: concepts by modality score."""

from dashboard.charts.exhibits.drawing import Drawing

DRAWINGS: tuple[Drawing, ...] = (
    Drawing(kind="steps", title="Share of concepts by modality score", x="left", y="share_of_concepts", panel="run"),
    Drawing(
        kind="dots",
        title="Concepts at either end, beside modality shuffled over the items",
        x="run",
        y="share",
        series="end",
        unit="percent",
        melt={
            "share_text": "text concepts",
            "share_image": "image concepts",
            "null_text": "text, shuffled",
            "null_image": "image, shuffled",
        },
        where={"left": [0.0]},
    ),
)
