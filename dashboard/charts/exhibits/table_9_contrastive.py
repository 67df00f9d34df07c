"""Table 9: contrastive models with ReAlign."""

from dashboard.charts.exhibits.drawing import Drawing

DRAWINGS: tuple[Drawing, ...] = (
    Drawing(kind="bars", title="{metric} raw and with ReAlign", x="run", series="variant"),
)
