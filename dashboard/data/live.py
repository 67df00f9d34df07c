"""Live queries: their pictures, of the run or uploaded, and the queries that teach most."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import streamlit as st

from core.analysis.variants import parse_variant
from core.errors import UserError
from core.questions import compare, live
from core.records import Modality
from dashboard import state
from dashboard.data.items import item_place
from dashboard.data.runs import root, run
from dashboard.data.turns import take

if TYPE_CHECKING:
    from PIL.Image import Image

UPLOADS_PER_VISITOR = 4
"""Uploaded pictures of one visitor that stay in memory."""
UPLOAD_BYTES = 128 * 2**20
"""Bytes of all uploaded pictures, decoded."""


@dataclass(frozen=True)
class LiveQuery:
    """A query made in the browser: a text, and where its picture is: "" (none), "queries:12" (an item of the run) or
    "upload:" with its hash."""

    text: str
    picture: str = ""
    inside: str = "none"
    """The variant whose changes inside the model it is embedded with."""

    @property
    def modality(self) -> Modality:
        """What it holds, as the run's own items say it."""
        return "text" if not self.picture else "image,text" if self.text.strip() else "image"


def under(query: LiveQuery, variant: str) -> LiveQuery:
    """The query as the model of a variant embeds it: with its changes inside the model, if it makes any."""
    return replace(query, inside=str(parse_variant(variant).inside))


def live_picture(key: str, query: LiveQuery) -> Image | None:
    """The picture of a live query, or None.

    Raises:
        UserError: it was uploaded into another process, or others came since.
    """
    if place := item_place(key, query.picture):
        return live.stored_item(run(key), *place).image
    if not query.picture:
        return None
    picture = _uploads().get(query.picture.removeprefix("upload:"))
    if picture is None:
        raise UserError(
            "the uploaded picture of this view is no longer here",
            todo="upload it again, or start from an item of the run",
        )
    return picture


# -- uploads ---------------------------------------------------------------------------------------------------------


class Uploads:
    """Uploaded pictures, decoded. Bounded by visitor and by bytes: the oldest go first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pictures: OrderedDict[str, tuple[str, Image]] = OrderedDict()
        """Name -> visitor, picture."""

    def get(self, name: str) -> Image | None:
        with self._lock:
            return self._pictures[name][1] if name in self._pictures else None

    def add(self, name: str, visitor: str, picture: Image) -> None:
        """Keep a picture, and drop what is beyond the bounds."""
        with self._lock:
            self._pictures[name] = (visitor, picture)
            self._pictures.move_to_end(name)
            mine = [other for other, (owner, _) in self._pictures.items() if owner == visitor]
            for other in mine[:-UPLOADS_PER_VISITOR]:
                del self._pictures[other]
            while self.bytes() > UPLOAD_BYTES and len(self._pictures) > 1:
                self._pictures.popitem(last=False)

    def bytes(self) -> int:
        """Memory of all pictures: three bytes a pixel."""
        return sum(3 * picture.width * picture.height for _, picture in self._pictures.values())


@st.cache_resource(show_spinner=False)
def _uploads() -> Uploads:
    return Uploads()


@st.cache_resource(show_spinner=False)
def _decoding() -> threading.Lock:
    """Pictures are decoded one at a time: each may need much more memory than what is kept of it."""
    return threading.Lock()


def keep_upload(content: bytes) -> str:
    """Decode an uploaded picture; it stays in memory while this process lives. Returns its name, for
    `LiveQuery.picture`.

    Raises:
        UserError: it is no picture, or has too many pixels.
    """
    name = hashlib.sha256(content).hexdigest()[:16]
    with _decoding():
        picture = live.picture(content)
    _uploads().add(name, state.visitor(), picture)
    return f"upload:{name}"


def has_upload(name: str) -> bool:
    """Whether that uploaded picture is still in memory."""
    return _uploads().get(name.removeprefix("upload:")) is not None


# -- examples --------------------------------------------------------------------------------------------------------


def examples(key: str, other: str | None) -> list[int]:
    """Queries that teach most, those first whose picture the model describes wholly."""
    where, opened, beside = root(), run(key), run(other) if other else None

    def choose() -> list[int]:
        rows = compare.teaching_queries(opened, beside, "realign", limit=live.EXAMPLES)
        return live.well_described_first(opened, rows)

    return take(("examples", where, key, other), lambda make: _examples(where, key, other, make), choose)


@st.cache_data(max_entries=64, show_spinner=False)
def _examples(root: str, key: str, other: str | None, _make: Callable[[], list[int]]) -> list[int]:
    return _make()


def named(sentence: str, things: list[str]) -> list[str]:
    """Those of `things` that a sentence names."""
    return live.named(sentence, things)
