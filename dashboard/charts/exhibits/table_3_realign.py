"""Table 3: recall raw, centred and with ReAlign."""

from dashboard.charts.exhibits.drawing import Drawing

DRAWINGS: tuple[Drawing, ...] = (
    Drawing(kind="bars", title="{metric} raw, centred and with ReAlign", x="run", series="variant"),
)
