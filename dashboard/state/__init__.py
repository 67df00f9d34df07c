"""The user's choices: the only folder that touches `st.session_state` and `st.query_params`.

`choices` keeps them in step with the address, `widgets` makes the widgets that change them.
"""

from dashboard.state.choices import (
    Selection,
    address,
    begin,
    current,
    end,
    get,
    keep,
    link,
    menu,
    notice,
    notices,
    put,
    touch,
    visitor,
)
from dashboard.state.widgets import clicked, number, pick, table, tabs, text, toggle, within

__all__ = [
    "Selection", "address", "begin", "clicked", "current", "end", "get", "keep", "link", "menu", "notice",
    "notices", "number", "pick", "put", "table", "tabs", "text", "toggle", "touch", "visitor", "within",
]  # fmt: skip
