"""What the browser asks for by itself: the item under the pointer on a map. Behind the guard, as all of the server."""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from core.errors import UserError
from dashboard.data.items import item, item_place
from dashboard.data.runs import run

ADDRESS = "items"
"""First part of the path; the rest is the run's key, the part and the row."""
KEY = re.compile("[0-9a-f]{8,64}")


def looked_at(request: Request) -> JSONResponse:
    """Words, thumbnail (a data URI) and id of one item."""
    key, part, row = (request.path_params[name] for name in ("key", "part", "row"))
    try:
        place = item_place(key, f"{part}:{row}") if KEY.fullmatch(key) and run(key).key == key else None
    except UserError:
        place = None
    if place is None:
        return JSONResponse({"error": "no such item"}, status_code=404)
    shown = item(key, *place)
    side = "query" if part == "queries" else "candidate"
    answer = {"text": shown.text, "image": shown.image, "name": f"{side} {shown.id}"}
    return JSONResponse(answer, headers={"cache-control": "private, max-age=600"})


ROUTES = [Route(f"/{ADDRESS}/{{key}}/{{part}}/{{row}}", looked_at)]
