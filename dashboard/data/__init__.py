"""The only bridge from the pages to `core`, and the only user of `st.cache_*`: a room by subject.

`questions` asks core and remembers the answers, `turns` lets long ones wait for each other, `runs` and `items` describe
what is asked about, `live` holds queries made in the browser, `exhibits` the study's claims and exhibits, `variants`
reads variants, `rows` makes records of tables. `own_runs` starts and watches runs for visitors; pages name it as a
whole. Users' errors (`core.errors.UserError`) pass through; `widgets.guard`
shows them.
"""

from dashboard.data.exhibits import (
    Judged,
    claim_questions,
    claim_settings,
    claims,
    exhibit,
    exhibit_file,
    exhibits,
    is_pending,
    readable,
    sheets,
    verdicts,
)
from dashboard.data.items import ItemView, data_uri, item, item_place, items, partners, size, thumbnail
from dashboard.data.live import LiveQuery, examples, has_upload, keep_upload, live_picture, named, under
from dashboard.data.questions import ask, ask_item, ask_later, ask_live, ask_two, fresh, in_turn, recent
from dashboard.data.rows import (
    Candidate,
    Carrier,
    Change,
    Concept,
    Contribution,
    Fellow,
    Firing,
    FolderRow,
    GainStep,
    MapPoint,
    Overfiring,
    Pairing,
    PoolSetting,
    RemovalPoint,
    RunRow,
    Slow,
    Strong,
    SweepPoint,
    row,
    rows,
)
from dashboard.data.runs import (
    RunChoice,
    RunFacts,
    broken_runs,
    counterpart,
    facts,
    forget_list,
    name,
    root,
    run,
    run_table,
    runs,
    siblings,
)
from dashboard.data.variants import canonical, direction, variant_error

__all__ = [
    "Candidate", "Carrier", "Change", "Concept", "Contribution", "Fellow", "Firing", "FolderRow", "GainStep",
    "ItemView", "Judged", "LiveQuery", "MapPoint", "Overfiring", "Pairing", "PoolSetting", "RemovalPoint", "RunChoice",
    "RunFacts", "RunRow", "Slow", "Strong", "SweepPoint", "ask", "ask_item", "ask_later", "ask_live", "ask_two",
    "broken_runs", "canonical", "claim_questions", "claim_settings", "claims", "counterpart", "data_uri",
    "direction", "examples", "exhibit", "exhibit_file", "exhibits", "facts", "forget_list", "fresh", "has_upload",
    "in_turn", "is_pending", "item", "item_place", "items", "keep_upload", "live_picture", "name", "named",
    "partners", "readable", "recent", "root", "row", "rows", "run", "run_table", "runs", "sheets", "siblings",
    "size", "thumbnail", "under", "variant_error", "verdicts",
]  # fmt: skip
