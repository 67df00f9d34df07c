"""Beyond the study: the shape of the embeddings."""

from dashboard.charts.exhibits.drawing import Drawing

DRAWINGS: tuple[Drawing, ...] = (
    Drawing(
        kind="dots",
        title="{value}",
        x="run",
        y="value",
        series="variant",
        apart="measure",
        unit="plain",
        where={
            "measure": [
                "modality gap",
                "mean cosine across",
                "effective rank, queries",
                "hubness (skewness of N_10)",
                "d'",
                "recall@1",
            ]
        },
    ),
)
