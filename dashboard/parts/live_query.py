"""The live query of the Playground: picked among the run's items, typed, dropped, or a mixture; every form is a link.

Choices: `start` ("queries:12", "candidates:3" or "none"; default: the query of all pages), `typed` (its text where it
differs from the start's) and `picture` (as in `data.LiveQuery`, or "none"). A text typed beside the picture that the
page began with is a text alone: only a picture that was chosen or dropped stays with it. An uploaded picture stays in
this process: a link to it works here only.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import streamlit as st

from core.analysis.variants import parse_variant
from core.errors import UserError
from core.questions import compare, live
from core.records import Part
from dashboard import data, state, words
from dashboard.data import LiveQuery
from dashboard.parts import listings, widgets
from dashboard.words import count

if TYPE_CHECKING:
    from PIL.Image import Image

NOTHING = "none"
BESIDE = "beside"
"""Choice: the picture that a typed text was parted from, for the button that puts it back."""
LARGEST_UPLOAD = 20
"""MB of an uploaded picture."""


@dataclass(frozen=True)
class Choice:
    """The live query, and the item of the run that it equals, as (part, row); None once it was changed."""

    query: LiveQuery
    item: tuple[Part, int] | None

    @property
    def empty(self) -> bool:
        return not self.query.text.strip() and not self.query.picture


def choose(run: str, facts: data.RunFacts) -> Choice:
    """Draw the inputs and return the live query. Default: a query that whitening repairs, whatever the variant is."""
    base = start_of(run, facts)
    own = stored(run, *base) if base else LiveQuery("")
    picture = picture_of(run, own)
    text = state.text(
        "typed",
        "Text",
        own.text,
        placeholder="two foxes in the snow",
        icon=":material/edit:",
        help=words.LIVE_TEXT_HELP,
    )
    if own.text and not text.strip():  # emptied: the link cannot say so, so it starts from the picture alone
        state.put(start=NOTHING, typed=None, picture=picture or None)
        st.rerun()
    chosen = state.get("start") or state.get("picture")
    if not own.text and text.strip() and picture and not chosen:
        # Typed beside a picture that nobody chose. From here on the link says so: a text, and no picture.
        state.put(start=NOTHING, picture=None, **{BESIDE: picture})
        st.rerun()
    upload(picture)
    query = LiveQuery(text.strip(), picture)
    return Choice(query, base if query == own else None)


def start_of(run: str, facts: data.RunFacts) -> tuple[Part, int] | None:
    """The item to start from: as chosen, else the query of all pages, else one that shows something."""
    chosen = str(state.get("start") or "")
    if chosen == NOTHING:
        state.keep("start")
        return None
    if place := data.item_place(run, chosen):
        state.keep("start")
        return place
    if chosen:
        state.notice(f"There is no item “{chosen}” here; starting from a query of the run instead.")
        state.put(start=None)
    default = data.ask(compare.teaching_query, run, None, "realign")
    return "queries", state.within("query", "query", 0, facts.queries - 1, default)


def stored(run: str, part: Part, row: int) -> LiveQuery:
    """An item of the run as a live query."""
    item = data.item(run, part, row)
    return LiveQuery(item.text.strip(), f"{part}:{row}" if "image" in item.modality else "")


def picture_of(run: str, own: LiveQuery) -> str:
    """The picture in use: the chosen one, else that of the item the query starts from."""
    chosen = state.get("picture")
    if chosen is None:
        return own.picture
    place, uploaded = data.item_place(run, str(chosen)), str(chosen).startswith("upload:")
    if chosen == NOTHING or (place and data.item(run, *place).image) or (uploaded and data.has_upload(chosen)):
        state.keep("picture")
        return "" if chosen == NOTHING else str(chosen)
    what = "The uploaded picture of this link is no longer here" if uploaded else f"There is no picture “{chosen}” here"
    state.notice(f"{what}; going on {'with the item’s own' if own.picture else 'without one'}.")
    state.put(picture=None)
    return own.picture


def upload(picture: str) -> None:
    """A dropped picture becomes the query's; a bad file says why in one line."""
    drawn = int(state.get("uploads", 0))
    dropped = st.file_uploader(
        "Picture", key=f"upload-{drawn}", max_upload_size=LARGEST_UPLOAD, help=words.LIVE_PICTURE_HELP
    )
    if dropped is None:
        return
    try:
        name = data.keep_upload(dropped.getvalue())
    except UserError as error:
        widgets.problem(error)
        return
    state.put(picture=name, uploads=drawn + 1)
    st.rerun()


def actions(run: str, choice: Choice) -> None:
    """Another item, without the picture, or from nothing."""
    with st.container(horizontal=True, gap="small"):
        picker(run)
        left = str(state.get(BESIDE) or "")
        if left and not choice.query.picture and choice.query.text.strip() and data.item_place(run, left):
            state.keep(BESIDE)
            if st.button("Ask with the picture too", icon=":material/add_photo_alternate:"):
                state.put(picture=left, **{BESIDE: None})
                st.rerun()
        if (
            choice.query.picture
            and choice.query.text
            and st.button("Leave the picture out", icon=":material/hide_image:")
        ):
            state.put(picture=NOTHING)
            st.rerun()
        if not choice.empty and st.button("Start empty", icon=":material/backspace:", type="tertiary"):
            state.put(start=NOTHING, typed=None, picture=None, **{BESIDE: None})
            st.rerun()


def picker(run: str) -> None:
    """Any item of the run, by search."""
    place = st.popover(
        "Pick an item of the run", icon=":material/image_search:", key=f"pick-{state.get('start')}", on_change="rerun"
    )
    if not place.open:
        return
    with place:
        part = state.pick(st.segmented_control, "among", "Among", ["queries", "candidates"], format_func=str.capitalize)
        search = state.text("search", "Search", placeholder="fox, snow, test-17 …", help=words.FIND_HELP)
        frame = data.ask(live.find, run, part, search, 60)
        table, columns = listings.listing(run, part, frame, 260)

        def start(row: int) -> dict[str, Any]:
            return {"start": f"{part}:{row}", "typed": None, "picture": None, "fires": None}

        state.table(
            "picked",
            table,
            frame["row"].tolist(),
            None,
            f"{run}-{part}-{search}",
            start,
            height=300,
            column_config=columns,
        )
        st.caption(
            f"{count(len(frame))} of {count(frame.attrs['total'])} {part}. Choose one; its text can then be changed."
        )


def relevant(run: str, choice: Choice) -> tuple[int, ...]:
    """Candidates known to be right: those of a query of the run that was not changed."""
    if not choice.item or choice.item[0] != "queries":
        return ()
    return tuple(row for _, row in data.partners(run, *choice.item))


def card(run: str, choice: Choice) -> None:
    """The live query with its modality and origin."""
    picture = data.live_picture(run, choice.query)
    image = None if picture is None else data.data_uri(small(picture))
    part, row = choice.item or ("queries", -1)
    name = f"{words.PARTS[part]} {count(row)}" if choice.item else "your own"
    item = data.ItemView(part, row, name, modality(choice.query), choice.query.text, image, None)
    badges = [widgets.badge(words.MODALITY[item.modality], item.modality if "," not in item.modality else "")]
    badges += [f'<span class="lens-dim">{escape(name)}</span>']
    listings.show(item, badges)


def modality(query: LiveQuery) -> str:
    """What the query holds."""
    return "text" if not query.picture else "image,text" if query.text else "image"


def remark(run: str, choice: Choice, variant: str) -> str:
    """What to bear in mind: another modality than the run's queries, or an item among its own candidates; "" for
    nothing."""
    kinds = data.run(run).corpus.items("queries").by_modality
    mine, remarks = modality(choice.query), []
    if not kinds.get(mine) and parse_variant(variant).of_stage("affine"):
        others = " and ".join(words.MODALITY[kind] for kind, n in kinds.items() if n)
        text = f"The run’s queries are of another kind ({others}), and"
        remarks.append(f"{text} “{words.variant_name(variant)}” treats this one with their statistics.")
    if choice.item and choice.item[0] == "candidates":
        remarks.append("This item is itself among the candidates.")
    return " ".join(remarks)


def small(picture: Image, side: int = 320) -> Image:
    """A copy at most `side` pixels wide and high."""
    copy = picture.copy()
    copy.thumbnail((side, side))
    return copy
