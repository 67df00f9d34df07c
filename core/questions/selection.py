"""A selection of items: how a link names it, and which items it holds.

Items are numbered queries first, then candidates (a *place*). A link names a selection by the corpus and, whichever is
short enough, (a) runs of rows, `1f0c.q0-4,9,c3`; (b) the gaps between places, packed, `1f0c.zeJx...`; (c) a content
key, `1f0c.k0123...`, of an answer in the cache that holds the places. So a link is short, and a wrong one is noticed.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Iterable
from hashlib import sha256

import numpy as np

from core.errors import UserError
from core.questions.answers import answer, answer_if_there
from core.questions.labels import TEST_PARTS
from core.records import Part
from core.run import Run
from core.store import Draft

LONGEST = 400
"""Characters of a selection that stands in the link itself; what is longer is stored."""
PACKED_AT_MOST = 1 << 22
"""Bytes that (b) may unpack to."""
NO_SELECTION = "the selection of the link cannot be used"


def size(run: Run) -> int:
    """Queries and candidates."""
    return sum(_counts(run).values())


def place_of(run: Run, part: Part, row: int) -> int:
    """The place of an item."""
    return row if part == "queries" else _counts(run)["queries"] + row


def item_at(run: Run, place: int) -> tuple[Part, int]:
    """Part and row of a place."""
    queries = _counts(run)["queries"]
    return ("queries", place) if place < queries else ("candidates", place - queries)


def named(run: Run, places: Iterable[int]) -> str:
    """How a link names these places; "" for none. Stores them where they are too many for a link.

    Raises:
        UserError: a place that the run does not have.
    """
    chosen = np.unique(np.asarray(list(places), dtype=np.int64))
    if not len(chosen):
        return ""
    if chosen[0] < 0 or chosen[-1] >= size(run):
        raise UserError("no such item", got=int(chosen[-1]), allowed=f"places 0 to {size(run) - 1}")
    corpus = _corpus(run)
    for text in (_runs(run, chosen), _packed(chosen)):
        if len(text) <= LONGEST:
            return f"{corpus}.{text}"
    digest = sha256(chosen.astype("<i8").tobytes()).hexdigest()[:24]

    def write(draft: Draft) -> None:
        draft.save("places", chosen)
        draft.facts["attrs"] = {}

    answer(run, "selection", {"places": digest}, write)
    return f"{corpus}.k{digest}"


def places(run: Run, text: str) -> np.ndarray:
    """(n,) int64, ascending: the places that a link names.

    Raises:
        UserError: it names none, those of another corpus, or some that are not stored here.
    """
    corpus, _, rest = text.partition(".")
    if corpus != _corpus(run):
        raise UserError(NO_SELECTION, got=text[:60], allowed="one of this corpus", todo="select on the map anew")
    try:
        found = _stored(run, rest[1:]) if rest[:1] == "k" else _unpacked(rest[1:]) if rest[:1] == "z" else None
        found = _from_runs(run, rest) if found is None else found
    except (ValueError, binascii.Error, zlib.error) as error:
        raise UserError(NO_SELECTION, got=text[:60], allowed="as the map writes it") from error
    if not len(found) or found[0] < 0 or found[-1] >= size(run) or (np.diff(found) <= 0).any():
        raise UserError(NO_SELECTION, got=text[:60], allowed=f"places 0 to {size(run) - 1}, each once, ascending")
    return found


def rows(run: Run, text: str) -> dict[Part, np.ndarray]:
    """The same as rows of queries and of candidates."""
    chosen, queries = places(run, text), _counts(run)["queries"]
    return {"queries": chosen[chosen < queries], "candidates": chosen[chosen >= queries] - queries}


def _counts(run: Run) -> dict[Part, int]:
    return {part: len(run.corpus.items(part)) if part in run.parts else 0 for part in TEST_PARTS}


def _corpus(run: Run) -> str:
    """What a corpus is known by: two runs of one corpus share their selections."""
    content = "".join(run.corpus.items(part).content for part in TEST_PARTS if part in run.parts)
    return sha256(content.encode()).hexdigest()[:4]


# -- the three ways --------------------------------------------------------------------------------------------------


def _runs(run: Run, chosen: np.ndarray) -> str:
    """Runs of neighbouring rows, part by part; far too long a text is cut, it is not used."""
    breaks = np.flatnonzero((np.diff(chosen) > 1) | (np.diff(chosen >= _counts(run)["queries"])))
    firsts, lasts = chosen[np.r_[0, breaks + 1]], chosen[np.r_[breaks, -1]]
    written = []
    for first, last in zip(firsts[:LONGEST].tolist(), lasts[:LONGEST].tolist(), strict=True):
        part, row = item_at(run, first)
        written.append(f"{part[0]}{row}" if first == last else f"{part[0]}{row}-{row + last - first}")
    return ",".join(written) + "," * max(0, len(firsts) - LONGEST)


def _from_runs(run: Run, text: str) -> np.ndarray:
    found, total = [], size(run)
    for one in text.split(","):
        match = re.fullmatch(r"([qc])([0-9]{1,9})(?:-([0-9]{1,9}))?", one)
        if match is None:
            raise ValueError(one)
        part: Part = "queries" if match[1] == "q" else "candidates"
        first, last = int(match[2]), int(match[3] or match[2])
        if not first <= last < _counts(run)[part]:
            raise ValueError(one)
        found.append(place_of(run, part, first) + np.arange(last - first + 1))
        total -= last - first + 1
        if total < 0:
            raise ValueError(text[:60])
    return np.concatenate(found).astype(np.int64)


def _packed(chosen: np.ndarray) -> str:
    gaps = np.diff(chosen, prepend=-1).astype("<u4")
    # Byte by byte of all gaps: the high ones are nearly all zero.
    packed = zlib.compress(gaps.view(np.uint8).reshape(-1, 4).T.tobytes(), 9)
    return "z" + base64.urlsafe_b64encode(packed).decode().rstrip("=")


def _unpacked(text: str) -> np.ndarray:
    if len(text) > LONGEST:
        raise ValueError("too long")
    reader = zlib.decompressobj()
    data = reader.decompress(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), PACKED_AT_MOST)
    if reader.unconsumed_tail or not reader.eof or len(data) % 4:
        raise ValueError("not packed by this")
    gaps = np.frombuffer(data, np.uint8).reshape(4, -1).T.copy().view("<u4").ravel()
    return np.cumsum(gaps.astype(np.int64)) - 1


def _stored(run: Run, digest: str) -> np.ndarray:
    if not re.fullmatch("[0-9a-f]{24}", digest):
        raise ValueError(digest)
    folder = answer_if_there(run, "selection", {"places": digest})
    if folder is None:
        todo = "open the link where it was made, or select on the map anew"
        raise UserError("the selection of the link is not stored here", got=f"k{digest}", todo=todo)
    return np.asarray(folder.array("places"))
