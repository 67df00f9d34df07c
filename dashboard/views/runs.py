from dashboard import widgets

widgets.heading("runs")
