from dashboard import widgets

widgets.heading("overview")
