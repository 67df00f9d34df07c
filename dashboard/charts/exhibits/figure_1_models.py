"""Figure 1: recall of each model's raw embeddings."""

from dashboard.charts.exhibits.drawing import Drawing

DRAWINGS: tuple[Drawing, ...] = (Drawing(kind="bars", title="{metric} of the raw embeddings", x="run", series="kind"),)
