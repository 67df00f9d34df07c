"""A run's pictures in the model's own words: captions embedded as texts, in place of the pictures.

In: a run. 1. The model describes every picture of the test split (`core/captions.py`, stage "captions"). 2. The
captions are embedded as the run embeds texts, in its first view, and where the answer begins if the run stores that
(stage "encode"). 3. Items without a picture keep their embeddings. Out: evaluations on the same queries as the run's.

Generation is slow, so nothing here starts it but `make_captions`; every other function takes what is cached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from core.analysis.retrieval import Evaluation
from core.analysis.variants import VariantSpec
from core.captions import REQUESTS, WORDS, Captioned, Request, caption_part, captions_spec, picture_rows
from core.config import OWN_MODEL
from core.encode import encode_part, encoding_spec
from core.errors import NotAvailable
from core.fingerprint import stage_key
from core.models import Adapter
from core.progress import NoProgress, Progress
from core.questions.answers import variant_of
from core.questions.comparisons import RecallRow
from core.questions.retrieval import evaluate
from core.questions.views import evaluate_rows
from core.records import EmbeddingView, Part
from core.run import Run
from core.store import Folder

TEST_PARTS: tuple[Part, Part] = ("queries", "candidates")


@dataclass(frozen=True, eq=False)
class OwnWords:
    """What the model said of the pictures of a run, embedded."""

    request: Request
    captioned: Mapping[Part, Captioned]
    """Parts that hold pictures."""
    encoded: Mapping[Part, Folder]
    """Their captions' embeddings."""
    views: tuple[EmbeddingView, ...]

    @property
    def seconds(self) -> float:
        """Seconds of the model when they were made: answers, then their embeddings."""
        generated = sum(one.folder.facts["seconds"] for one in self.captioned.values())
        return float(generated + sum(folder.facts["seconds"] for folder in self.encoded.values()))

    @property
    def keys(self) -> list[str]:
        """Folders of the cache: captions, then their embeddings."""
        return [*(one.folder.key for one in self.captioned.values()), *(one.key for one in self.encoded.values())]

    @property
    def pictures(self) -> int:
        """How many were described."""
        return sum(len(one) for one in self.captioned.values())

    def examples(self, number: int = 3) -> list[tuple[str, str]]:
        """(id, what the model said of it) of the first pictures."""
        first = next(iter(self.captioned.values()))
        items = [first.item(row) for row in range(min(number, len(first)))]
        return [(item.id, item.text or "") for item in items]


def parts_with_pictures(run: Run) -> list[Part]:
    """Parts of the test split that hold a picture."""
    return [part for part in TEST_PARTS if part in run.parts and len(picture_rows(run.corpus.items(part)))]


def check_own_words(run: Run) -> None:
    """Refuse a run whose model cannot put its pictures into words.

    Raises:
        NotAvailable: own embeddings, a dual encoder, or no pictures.
    """
    todo = "choose a run of a model that generates, on a corpus with pictures"
    if run.model_name == OWN_MODEL:
        raise NotAvailable(f"run {run.name!r} holds own embeddings, without a model", todo=todo)
    if run.view.pooling == "projected":
        raise NotAvailable(
            f"{run.model_name} compares and does not speak",
            got="a dual encoder, or another model of final vectors",
            todo=todo,
        )
    if not parts_with_pictures(run):
        raise NotAvailable(f"run {run.name!r} has no picture to describe", got="texts only", todo=todo)


def own_words_apply(run: Run) -> bool:
    """Whether the run's model could be asked for its own words."""
    try:
        check_own_words(run)
    except NotAvailable:
        return False
    return True


def make_captions(run: Run, request: Request = "caption", progress: Progress | None = None) -> OwnWords:
    """Describe and embed every picture of the test split, or find that in the cache; resumes.

    Raises:
        NotAvailable: see `check_own_words`, and a model without a chat template.
    """
    check_own_words(run)
    progress, views = progress or NoProgress(), _views(run)
    captioned: dict[Part, Captioned] = {}
    encoded: dict[Part, Folder] = {}
    for part in parts_with_pictures(run):
        table, tokens = run.corpus.items(part), run.spec.embedding.batch_tokens
        key = run.folder.facts["model_key"]
        folder = caption_part(table, _chat_model(run), key, request, run.store, progress, tokens)
        captioned[part] = Captioned(table, folder)
        cached = run.store.find("encode", _encoded_key(run, captioned[part]))
        encoded[part] = cached or encode_part(
            captioned[part], run.adapter().facts, run.adapter, views, run.store, progress, tokens
        )
    return OwnWords(request, captioned, encoded, views)


def _chat_model(run: Run) -> Callable[[], Adapter]:
    def load() -> Adapter:
        adapter = run.adapter()
        if adapter.facts.kind != "chat":
            raise NotAvailable(
                f"{run.model_name} takes no requests", got=f"kind {adapter.facts.kind}", allowed="chat models"
            )
        return adapter

    return load


def cached_captions(run: Run, request: Request = "caption") -> OwnWords | None:
    """What `make_captions` made before; None where it did not, or did not finish."""
    captioned: dict[Part, Captioned] = {}
    encoded: dict[Part, Folder] = {}
    for part in parts_with_pictures(run):
        table = run.corpus.items(part)
        spec = captions_spec(table, run.folder.facts["model_key"], request)
        folder = run.store.find("captions", stage_key("captions", spec))
        if folder is None:
            return None
        captioned[part] = Captioned(table, folder)
        embedded = run.store.find("encode", _encoded_key(run, captioned[part]))
        if embedded is None:
            return None
        encoded[part] = embedded
    return OwnWords(request, captioned, encoded, _views(run)) if captioned else None


def all_cached_captions(run: Run) -> Iterator[OwnWords]:
    """Every request that was answered for this run."""
    for request in REQUESTS:
        if (own := cached_captions(run, request)) is not None:
            yield own


def evaluate_captions(run: Run, own: OwnWords, view: EmbeddingView, variant: str | VariantSpec = "none") -> Evaluation:
    """Retrieval with pictures in the model's own words, in one of `own.views`, under a variant that needs no codes."""
    spec = variant_of(run, variant)
    arguments = {"request": own.request, "view": str(view), "variant": spec.explicit()}
    queries, candidates = (partial(captioned_rows, run, own, part, view) for part in TEST_PARTS)
    return evaluate_rows(run, "evaluate-captions", arguments, spec, (queries, candidates), own.keys)


def result(run: Run, own: OwnWords) -> dict[str, Any]:
    """What `captions --json` prints: the request, its cost, examples, and recall in each view, raw and with ReAlign,
    beside the run's own raw recall."""
    raw = evaluate(run).evaluation
    rows = [{"embedded": "pictures as they are", "variant": "none"} | RecallRow.of_evaluation(raw).columns()]
    for view in own.views:
        for variant in ("none", "realign"):
            row = RecallRow.of_evaluation(evaluate_captions(run, own, view, variant)).columns()
            rows.append({"embedded": f"{own.request}, {view.words}", "variant": variant} | row)
    return {
        "run": run.name,
        "request": WORDS[own.request],
        "pictures": own.pictures,
        "seconds": own.seconds,
        "examples": [{"id": name, "text": text} for name, text in own.examples()],
        "rows": rows,
    }


def captioned_rows(run: Run, own: OwnWords, part: Part, view: EmbeddingView) -> np.ndarray:
    """(n, d) embeddings of a part, those of its pictures replaced by those of their captions."""
    if part not in own.encoded:
        return run.embeddings(part, view)
    captions, at = own.encoded[part].array(str(view)), own.captioned[part].rows
    if len(at) == len(run.corpus.items(part)):
        return captions  # a memmap of all rows: nothing to copy
    rows = np.array(run.embeddings(part, view))
    rows[at] = captions
    return rows


def _views(run: Run) -> tuple[EmbeddingView, ...]:
    """The run's first view, and where the answer begins if it stores that."""
    answer = replace(run.view, pooling="answer", mask="all")
    return tuple(dict.fromkeys((run.view, *(view for view in run.views if view == answer))))


def _encoded_key(run: Run, captioned: Captioned) -> str:
    return stage_key("encode", encoding_spec(captioned.content, run.folder.facts["model_key"], _views(run)))
