"""The live query of the Playground: picked among the run's items, typed, dropped, or a mixture; every form is a link.

Choices: `start` ("queries:12", "candidates:3" or "none"; the query of all pages where it is not chosen), `typed` (its
text where that is not the start's own) and `picture` (as in `data.Asked`, or "none"). An uploaded picture stays in this
process: a link to it works here only.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import streamlit as st

from core.analysis.variants import parse_variant
from core.errors import UserError
from dashboard import data, state, words
from dashboard.data import Asked
from dashboard.parts import listings, widgets
from dashboard.words import count

NOTHING = "none"
LARGEST_UPLOAD = 20
"""MB of an uploaded picture."""


@dataclass(frozen=True)
class Given:
    """The live query, and the item of the run it still is, as (part, row); None once it was changed."""

    asked: Asked
    item: tuple[str, int] | None

    @property
    def empty(self) -> bool:
        return not self.asked.text.strip() and not self.asked.picture


def given(run: str, facts: data.RunFacts) -> Given:
    """What is asked; draws the inputs. Where nothing was chosen: a query that whitening repairs, whatever the variant
    is."""
    base = start_of(run, facts)
    own = stored(run, *base) if base else Asked("")
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
    upload(picture)
    asked = Asked(text.strip(), picture)
    return Given(asked, base if asked == own else None)


def start_of(run: str, facts: data.RunFacts) -> tuple[str, int] | None:
    """The item to start from: as chosen, else the query of all pages, else one that shows something."""
    chosen = str(state.get("start") or "")
    if chosen == NOTHING:
        state.keep("start")
        return None
    part, _, row = chosen.partition(":")
    if part in ("queries", "candidates") and row.isdigit() and int(row) < data.size(run, part):
        state.keep("start")
        return part, int(row)
    if chosen:
        state.notice(f"There is no item “{chosen}” here; starting from a query of the run instead.")
        state.put(start=None)
    shown = data.ask("compare.teaching_query", run, None, "realign")
    return "queries", state.within("query", "query", 0, facts.queries - 1, shown)


def stored(run: str, part: str, row: int) -> Asked:
    """An item of the run as a live query."""
    item = data.item(run, part, row)
    return Asked(item.text.strip(), f"{part}:{row}" if "image" in item.modality else "")


def picture_of(run: str, own: Asked) -> str:
    """The picture in use: the chosen one, else that of the item the query starts from."""
    chosen = state.get("picture")
    if chosen is None:
        return own.picture
    part, _, row = str(chosen).partition(":")
    known = part in ("queries", "candidates") and row.isdigit() and int(row) < data.size(run, part)
    if (
        chosen == NOTHING
        or (known and data.item(run, part, int(row)).image)
        or (part == "upload" and data.has_upload(chosen))
    ):
        state.keep("picture")
        return "" if chosen == NOTHING else str(chosen)
    what = (
        "The uploaded picture of this link is not here any more"
        if part == "upload"
        else f"There is no picture “{chosen}” here"
    )
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
        kept = data.keep_upload(dropped.getvalue())
    except UserError as error:
        widgets.problem(error)
        return
    state.put(picture=kept, uploads=drawn + 1)
    st.rerun()


def actions(run: str, asked: Given) -> None:
    """Another item, without the picture, or from nothing."""
    with st.container(horizontal=True, gap="small"):
        picker(run)
        if (
            asked.asked.picture
            and asked.asked.text
            and st.button("Leave the picture out", icon=":material/hide_image:")
        ):
            state.put(picture=NOTHING)
            st.rerun()
        if not asked.empty and st.button("Start empty", icon=":material/backspace:", type="tertiary"):
            state.put(start=NOTHING, typed=None, picture=None)
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
        frame = data.ask("live.find", run, part, search, 60)
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


def relevant(run: str, asked: Given) -> tuple[int, ...]:
    """Candidates known to be right: those of a query of the run that was not changed."""
    if not asked.item or asked.item[0] != "queries":
        return ()
    return tuple(row for _, row in data.partners(run, *asked.item))


def card(run: str, asked: Given) -> None:
    """The query as it is asked, with what is known of it."""
    picture = data.live_picture(run, asked.asked)
    image = None if picture is None else data.data_uri(small(picture))
    part, row = asked.item or ("queries", -1)
    name = f"{words.PARTS[part]} {count(row)}" if asked.item else "your own"
    item = data.ItemView(part, row, name, modality(asked.asked), asked.asked.text, image, None)
    badges = [widgets.badge(words.MODALITY[item.modality], item.modality if "," not in item.modality else "")]
    badges += [f'<span class="lens-dim">{escape(name)}</span>']
    listings.show(item, badges)


def modality(asked: Asked) -> str:
    """What the query holds."""
    return "text" if not asked.picture else "image,text" if asked.text else "image"


def remark(run: str, asked: Given, variant: str) -> str:
    """What to bear in mind: another modality than the run's queries, or an item among its own candidates; "" for
    nothing."""
    kinds = data.run(run).corpus.items("queries").by_modality
    mine, said = modality(asked.asked), []
    if not kinds.get(mine) and parse_variant(variant).of_stage("affine"):
        others = " and ".join(words.MODALITY[kind] for kind, n in kinds.items() if n)
        text = f"The run’s queries are of another kind ({others}), and"
        said.append(f"{text} “{words.variant_name(variant)}” treats this one with their statistics.")
    if asked.item and asked.item[0] == "candidates":
        said.append("This item is itself among the candidates.")
    return " ".join(said)


def small(picture: Any, side: int = 320) -> Any:
    """A copy at most `side` pixels wide and high."""
    copy = picture.copy()
    copy.thumbnail((side, side))
    return copy
