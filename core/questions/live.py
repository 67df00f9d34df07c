"""A query that is in no table: a typed text, a picture, or both, against the candidates of a run.

In: an `Item`, or its raw embedding (d,) as the run's own model makes it. Out: rankings, concepts and contributions, as
for a stored query. Variants are the run's own, fitted on its statistics before the query came: one query has no mean
and no covariance. A stored query given live ranks as it does in the run.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from core.analysis.explanations.contributions import SideState
from core.analysis.retrieval import one_query
from core.analysis.variants import VariantSpec
from core.analysis.variants.transform import transform
from core.captions import CAPTION_REQUEST
from core.errors import NotAvailable, ShapeMismatch, UserError
from core.questions.alternates import OWN, encode, fitted_with
from core.questions.answers import cached_table, fitted, item_frame, side_of, transformed, variant_of
from core.questions.concepts import Heat, heat_of, table
from core.questions.inside import check_unchanged, model_under
from core.questions.labels import has_truth
from core.questions.ranked import Rankings, side_by_side
from core.questions.similarity import Explanation, explained
from core.records import Item, Modality, Part
from core.run import Run
from core.waiting import about_to_compute

if TYPE_CHECKING:
    from PIL import Image

    from core.sae.codes import Coded

UPLOAD_SIDE = 2048
"""Pixels a side that are kept of an uploaded picture: more than any model here looks at."""
UPLOAD_PIXELS = 50_000_000
"""Pixels of an uploaded file: most kinds are decoded as a whole before they are made smaller."""
LONGEST = 4000
"""Characters of a typed text."""
SUMMARY_REQUEST = "What does this describe?"
"""Asked of a text; of a picture, `CAPTION_REQUEST`."""
ANSWER_TOKENS = 48
EXAMPLES = 10
"""Queries the Lesson goes through."""
COMMON = 0.5
"""Share of items from which on a concept says little about one of them."""
_ENCODING = threading.Lock()
_IRREGULAR = {"mice": "mouse", "dice": "die", "scarves": "scarf"}

# -- the query -------------------------------------------------------------------------------------------------------


def picture(data: bytes) -> Image.Image:
    """An uploaded file as an upright RGB picture of at most `UPLOAD_SIDE` pixels wide and high.

    Raises:
        UserError: it is no picture, a broken or hostile one, or one of too many pixels; one line says which.
    """
    from core.corpus.images import BadImage, load_image

    try:
        return load_image(data, side=UPLOAD_SIDE, pixels=UPLOAD_PIXELS)
    except BadImage as error:
        raise UserError(
            "this file cannot be used as a picture", got=str(error), allowed="JPEG, PNG, WebP, GIF, TIFF, BMP"
        ) from error


def item(run: Run, text: str = "", image: Image.Image | None = None) -> Item:
    """A text, a picture or both, in the role of a query of the run's task.

    Raises:
        UserError: neither, or a text longer than `LONGEST` characters.
    """
    text = text.strip()
    if not text and image is None:
        raise UserError("an empty query", got="neither text nor picture", allowed="a text, a picture, or both")
    if len(text) > LONGEST:
        raise UserError("the text is too long", got=f"{len(text):,} characters", allowed=f"up to {LONGEST:,}")
    modality: Modality = "text" if image is None else "image,text" if text else "image"
    return Item("live", modality, text or None, image, run.corpus.items("queries").task, "query")


def stored_item(run: Run, part: Part, row: int) -> Item:
    """One of the run's own items in the role of a query.

    Raises:
        UserError: no such row. CorpusError: its picture is gone.
    """
    items = run.corpus.items(part)
    if not 0 <= row < len(items):
        raise UserError(f"no such row of {part}", got=row, allowed=f"0 to {len(items) - 1}")
    stored = items.item(row)
    return item(run, stored.text or "", stored.image)


def find(run: Run, part: Part, search: str = "", limit: int = 50) -> pd.DataFrame:
    """Items of a part whose id or text, or the text of whose partners, holds `search`: DataFrame[row, id, modality,
    text].

    attrs["total"]: how many there are before `limit`.
    """
    items, others = run.corpus.items(part), run.corpus.items("candidates" if part == "queries" else "queries")
    haystacks = [f"{name} {text or ''}" for name, text in zip(items.ids, items.texts, strict=True)]
    for query, candidate in run.qrels("test").pairs:
        row, partner = (query, candidate) if part == "queries" else (candidate, query)
        haystacks[row] += f" {others.texts[partner] or ''}"
    rows = [row for row, words in enumerate(haystacks) if search.lower() in words.lower()]
    frame = item_frame(run, part, rows[:limit])
    frame.attrs = {"total": len(rows)}
    return frame


# -- what the model makes of it --------------------------------------------------------------------------------------


def embed(run: Run, item: Item, variant: str | VariantSpec = "none") -> np.ndarray:
    """(d,) float32: the raw pooled embedding of one item in the run's first view, by the run's own model and prompts;
    by the model with the changes inside it that a variant makes, where it makes any.

    Raises:
        NotAvailable: own embeddings without a model, or a mask that leaves no token of this item.
    """
    about_to_compute()
    return model_under(run, variant_of(run, variant)).embed([item], [run.view])[run.view][0]


def say(run: Run, item: Item, request: str = "", variant: str | VariantSpec = "none") -> str:
    """What the model itself says of the item: its greedy answer to a request (by default, to describe it). Under a
    variant that changes concepts inside the model, what it says then.

    Raises:
        NotAvailable: the model does not generate.
    """
    about_to_compute()
    adapter = run.adapter()
    if not adapter.can_generate:
        raise NotAvailable(
            f"{run.model_name} compares and does not speak", todo="choose a run of a model that generates"
        )
    adapter = model_under(run, variant_of(run, variant))
    question = request.strip() or (CAPTION_REQUEST if item.image is not None else SUMMARY_REQUEST)
    return adapter.generate(item, question, ANSWER_TOKENS)


def named(said: str, things: Collection[str]) -> list[str]:
    """Those of `things` (singular nouns) that a sentence names, in singular or plural."""
    words = {form for word in re.findall(r"[a-z]+", said.lower()) for form in _singulars(word)}
    return [thing for thing in things if thing.lower() in words]


def _singulars(word: str) -> set[str]:
    """What a word may be the plural of, and itself."""
    forms = {word, _IRREGULAR.get(word, word), word.removesuffix("s"), word.removesuffix("es")}
    return forms | ({word.removesuffix("ies") + "y"} if word.endswith("ies") else set())


def well_described_first(run: Run, rows: Sequence[int]) -> list[int]:
    """Query rows reordered: first those of whose picture (their own, or that of their first right candidate) the
    model's caption names everything, the rest after them in the order given. As given where there is no ground truth,
    no picture, or a model that does not speak.
    """
    pictures = [place for row in rows if (place := _picture_row(run, row)) is not None]
    if not has_truth(run) or len(pictures) < len(rows) or run.no_model() or not run.adapter().can_generate:
        return list(rows)

    def compute() -> pd.DataFrame:
        return pd.DataFrame({"row": rows, "whole": [_names_all(run, *place) for place in pictures]})

    table = cached_table(run, "well-described", {"rows": list(rows), "request": CAPTION_REQUEST}, compute)
    return [int(row) for row in table.sort_values("whole", ascending=False, kind="stable")["row"]]


def _picture_row(run: Run, row: int) -> tuple[Part, int] | None:
    relevant = run.qrels("test").relevant(row)
    places: list[tuple[Part, int]] = [("queries", row), *(("candidates", int(c)) for c in relevant[:1])]
    return next((place for place in places if run.corpus.items(place[0]).modality[place[1]] == "image"), None)


def _names_all(run: Run, part: Part, row: int) -> bool:
    things = (run.corpus.items(part).truth(row) or {}).get("things", [])
    return len(named(say(run, stored_item(run, part, row)), things)) == len(things)


def heat(run: Run, item: Item, concept: int) -> Heat:
    """Where in the item a concept comes from; see `concepts.Heat`."""
    return heat_of(run, concept, item)


# -- rankings --------------------------------------------------------------------------------------------------------


def rank(
    run: Run,
    row: np.ndarray,
    variant: str | VariantSpec = "none",
    top: int = 10,
    relevant: Collection[int] = (),
    modality: Modality | None = None,
) -> pd.DataFrame:
    """The best candidates of one embedding (d,): DataFrame[rank, row, id, modality, text, similarity, relevant,
    rank_other].

    `relevant`: rows known to be right; rank_other is the rank with the raw embeddings. `modality`: of the query; a
    variant with statistics per modality needs it.
    """
    return rankings(run, row, "none", variant, top, relevant, modality).after


def rankings(
    run: Run,
    row: np.ndarray,
    before: str | VariantSpec = "none",
    after: str | VariantSpec = "realign",
    top: int = 10,
    relevant: Collection[int] = (),
    modality: Modality | None = None,
) -> Rankings:
    """The best candidates of one embedding under two variants, side by side."""
    first, second = (similarities(run, row, variant, modality) for variant in (before, after))
    return side_by_side(run, first, second, set(relevant), top)


def rankings_of(
    run: Run,
    item: Item,
    before: str | VariantSpec = "none",
    after: str | VariantSpec = "realign",
    top: int = 10,
    relevant: Collection[int] = (),
) -> Rankings:
    """`rankings` of an item, each variant with the embedding that its own model gives: of variants that change concepts
    inside the model an embedding made beforehand knows nothing."""
    first, second = (similarities(run, embed(run, item, v), v, item.modality) for v in (before, after))
    return side_by_side(run, first, second, set(relevant), top)


def similarities(run: Run, row: np.ndarray, variant: str | VariantSpec, modality: Modality | None = None) -> np.ndarray:
    """(n_candidates,) float32 cosines of one embedding (d,) with every candidate; the variant as fitted on the run. The
    embedding is one of `embed` with the same variant.

    Raises:
        ShapeMismatch: not one embedding of the run's width. VariantError: the variant has statistics per modality, and
            that of the query is not given.
    """
    width = run.embeddings("queries").shape[1]
    if row.shape != (width,):
        raise ShapeMismatch("not an embedding of this run", got=f"shape {tuple(row.shape)}", allowed=f"({width},)")
    spec = variant_of(run, variant)
    side = side_of(fitted(run, spec), "queries").of(modality)
    codes = encoded(run, row).codes if side.edits else None
    query = transform(row[None], side, codes, run.need_sae().dictionary if side.edits else None)[0]
    return one_query.similarities(query, transformed(run, spec, "candidates"))


# -- concepts --------------------------------------------------------------------------------------------------------


def encoded(run: Run, row: np.ndarray) -> Coded:
    """Codes (1, c) and offset of one embedding (d,), by the run's SAE (kept in memory).

    Raises:
        NotAvailable: a run without an SAE.
    """
    from core.sae import SaeEncoder

    record = run.need_sae()
    with _ENCODING:  # an encoder keeps what it has just seen
        encoder = run.memo(("encoder",), lambda: SaeEncoder(run.sae_folder.checked(), record.input))
        return encoder.encode(row[None])


def concepts(run: Run, row: np.ndarray, top: int = 12) -> pd.DataFrame:
    """The strongest concepts of one embedding: DataFrame[concept, label, activation, modality_score, frequency],
    strongest first.

    attrs["active"]: how many fire at all; activation in embedding units.
    """
    codes, frame = encoded(run, row).codes, table(run)
    order = np.argsort(-codes.data, kind="stable")[:top]
    at = codes.indices[order]
    columns = {name: frame[name].to_numpy()[at] for name in ("label", "modality_score", "frequency")}
    strongest = pd.DataFrame({"concept": at.astype(int), "activation": codes.data[order].astype(float)} | columns)
    strongest = strongest[["concept", "label", "activation", "modality_score", "frequency"]]
    strongest.attrs = {"active": int(np.count_nonzero(codes.data))}
    return strongest


def pair_concepts(run: Run, query_row: int, candidate_row: int, top: int = 10) -> pd.DataFrame:
    """The strongest concepts of a stored query and a stored candidate.

    DataFrame[concept, label, query_activation, candidate_activation, modality_score, frequency], by the larger of the
    two activations. attrs: how many fire on the query, on the candidate, on both, and on both while on fewer than half
    of all items ("telling").
    """
    frame = table(run)
    sides = [run.codes("queries")[[query_row]].toarray()[0], run.codes("candidates")[[candidate_row]].toarray()[0]]
    both = (sides[0] > 0) & (sides[1] > 0)
    order = np.argsort(-np.maximum(*sides), kind="stable")[:top]
    order = order[np.maximum(*sides)[order] > 0]
    strongest = frame.iloc[order][["concept", "label", "modality_score", "frequency"]].reset_index(drop=True)
    strongest = strongest.assign(
        query_activation=sides[0][order].astype(float), candidate_activation=sides[1][order].astype(float)
    )
    rare = frame["frequency"].to_numpy() < COMMON
    figures = {"query": sides[0] > 0, "candidate": sides[1] > 0, "both": both, "telling": both & rare}
    strongest.attrs = {name: int(mask.sum()) for name, mask in figures.items()}
    return strongest


def explain(
    run: Run,
    row: np.ndarray,
    candidate_row: int,
    variant: str | VariantSpec = "none",
    top: int = 12,
    modality: Modality | None = None,
    dictionary: str = OWN,
) -> Explanation:
    """Its similarity to one candidate, concept by concept; the parts sum to the score (docs/study.md section 4).

    `dictionary`: whose concepts, by its name in `alternates.live_names`.
    """
    rows = len(run.corpus.items("candidates"))
    if not 0 <= candidate_row < rows:
        raise UserError("no such candidate", got=candidate_row, allowed=f"0 to {rows - 1}")
    spec = variant_of(run, variant)
    return explained(run, coded_state(run, row, spec, modality, dictionary), candidate_row, spec, top, dictionary)


def coded_state(
    run: Run, row: np.ndarray, variant: VariantSpec, modality: Modality | None = None, dictionary: str = OWN
) -> SideState:
    """One embedding (d,) that is in no table as the query of a comparison."""
    if dictionary == OWN:
        coded, fit = encoded(run, row), fitted(run, variant)
        codes, offset = coded.codes, coded.offset[0]
    else:
        check_unchanged(variant, "other dictionaries")
        fit = fitted_with(run, dictionary, variant)
        codes, offset = encode(run, dictionary, row)
    return SideState(
        h=np.asarray(row, dtype=np.float64),
        concepts=codes.indices.astype(np.int64),
        activations=codes.data.astype(np.float64),
        transform=side_of(fit, "queries").of(modality),
        offset=np.asarray(offset, dtype=np.float64),
    )
