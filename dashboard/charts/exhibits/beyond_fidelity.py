"""Beyond the study: how far the SAEs can be trusted."""

from dashboard.charts.exhibits.drawing import Drawing

DRAWINGS: tuple[Drawing, ...] = (
    Drawing(
        kind="bars",
        title="Explained variance",
        x="dictionary",
        y="explained",
        series="rows",
        panel="run",
        melt={
            "explained_variance": "pooled test embeddings",
            "explained_in_training": "its own rows, end of training",
        },
    ),
    Drawing(
        kind="dots",
        title="Recall@1 of reconstructions minus the embeddings'",
        x="dictionary",
        y="gain",
        panel="run",
        axis="points; dotted: ±2",
        limits={"": [-0.02, 0.02]},
    ),
)
