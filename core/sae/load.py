"""The dictionaries of a run: trained here, shipped, a sae-lens folder or release, a hub file, or a checkpoint of the
study.

In: an `SaeSpec` and the run it is for. Out: folders of stage "sae": sae-lens's two files, in its present format, and
`dictionary.npy`. What an SAE saw (`input`), learned from and was trained with is a fact of the SAE: where its folder
says so (`facts.json`), that holds; else the spec's `input` and "unknown".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from core.config import SaeSpec
from core.models.base import Adapter, ModelFacts
from core.progress import Progress
from core.records import EmbeddingView, Part
from core.sae.files import finish
from core.sae.located import Located
from core.sae.sources import check_width, locate
from core.sae.states import Makers
from core.sae.trained import Training
from core.store import Draft, Folder, Store

if TYPE_CHECKING:
    from core.corpus import Corpus


def obtain(
    spec: SaeSpec,
    corpus: Corpus,
    facts: ModelFacts,
    model: Callable[[], Adapter],
    encoded: Mapping[Part, Folder],
    view: EmbeddingView,
    store: Store,
    progress: Progress,
    makers: Makers | None = None,
) -> tuple[Folder, ...]:
    """The SAEs of a run, its own first: found in the cache, loaded, or trained on the run's own items.

    Args:
        makers: of the token states that a training needs; None: the model in this process.

    Raises:
        SaeError: unknown source, unreadable file, hub not reached. ShapeMismatch: it was made for another width of
            embedding. TooLarge: training would not fit into memory.
    """
    if spec.source == "train":
        return Training(spec, corpus, facts, model, encoded, view, store, progress, makers).folders()
    located = locate(spec.source, facts.name)
    check_width(located.width(), facts)
    identity = located.identity(spec.k) | {"input": spec.input}

    def write(draft: Draft) -> None:
        load_into(located, spec, draft)
        draft.facts["source"] = located.words(draft.facts.get("source"))

    return (store.build("sae", f"{facts.name}-{located.name}", identity, (), write),)


def load_into(located: Located, spec: SaeSpec, draft: Draft) -> None:
    """Write a located SAE into a draft of stage "sae", with its dictionary and facts."""
    unless_it_says = {"input": spec.input, "trained_on": "unknown"}
    finish(draft, unless_it_says | located.save_into(draft.path, spec.k), k=0)
