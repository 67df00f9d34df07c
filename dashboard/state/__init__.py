"""The user's choices: the only folder that touches `st.session_state` and `st.query_params`.

`choices` keeps them in step with the address, `widgets` makes the widgets that change them.
"""

from dashboard.state.choices import (
    Selection,
    address,
    begin,
    cancel,
    current,
    end,
    fresh_key,
    get,
    is_cancelled,
    keep,
    link,
    menu,
    notice,
    notices,
    put,
    resume,
    touch,
    visitor,
)
from dashboard.state.widgets import clicked, number, pick, sent, several, table, tabs, text, toggle, within

__all__ = [
    "Selection", "address", "begin", "cancel", "clicked", "current", "end", "fresh_key", "get", "is_cancelled", "keep",
    "link", "menu", "notice", "notices", "number", "pick", "put", "resume", "sent", "several",
    "table", "tabs", "text", "toggle", "touch", "visitor", "within",
]  # fmt: skip
