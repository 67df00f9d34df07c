from dashboard import widgets

widgets.heading("map")
