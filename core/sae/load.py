"""The dictionaries of a run: trained here, shipped, a sae-lens folder or release, a hub file, or a checkpoint of the
study.

In: an `SaeSpec` and the run it is for. Out: folders of stage "sae": sae-lens's two files, in its present format, and
`dictionary.npy`. What an SAE saw (`input`), learned from and was trained with is a fact of the SAE: where its folder
says so (`facts.json`), that holds; else the spec's `input` and "unknown".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.config import SaeSpec
from core.fingerprint import hash_file, hash_folder
from core.models.base import Adapter, ModelFacts
from core.progress import Progress
from core.records import EmbeddingView, Part
from core.sae.architectures import load_folder, save_for_inference
from core.sae.convert import convert_checkpoint
from core.sae.files import finish, read_facts
from core.sae.hub import Release, load_release
from core.sae.sources import HUB, check_width, locate, source_width
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
) -> tuple[Folder, ...]:
    """The SAEs of a run, its own first: found in the cache, loaded, or trained on the run's own items.

    Raises:
        SaeError: unknown source, unreadable file, hub not reached. ShapeMismatch: it was made for another width of
            embedding.
    """
    if spec.source == "train":
        return Training(spec, corpus, facts, model, encoded, view, store, progress).folders()
    found = locate(spec.source, facts.name)

    def write(draft: Draft) -> None:
        load_into(found, spec, draft)
        draft.facts["source"] = _words(spec.source, found, draft.facts.get("source"))

    name = found.sae_id if isinstance(found, Release) else found.stem
    check_width(source_width(found), facts)
    return (store.build("sae", f"{facts.name}-{name}", _identity(found, spec), (), write),)


def load_into(found: Path | Release, spec: SaeSpec, draft: Draft) -> None:
    """Write a sae-lens folder or release, or a checkpoint of the study, into a draft of stage "sae"."""
    told = {"input": spec.input, "trained_on": "unknown"}
    if isinstance(found, Release):
        save_for_inference(load_release(found), draft.path)
    elif found.is_dir():
        save_for_inference(load_folder(found), draft.path)
        told |= read_facts(found)
    else:
        convert_checkpoint(found, spec.k, draft.path)
    finish(draft, told, spec.k if isinstance(found, Path) and found.is_file() else 0)


def _identity(found: Path | Release, spec: SaeSpec) -> dict[str, Any]:
    """What the numbers depend on: the content of files; the name of a release, which sae-lens does not version."""
    if isinstance(found, Release):
        return {"release": found.release, "sae_id": found.sae_id, "input": spec.input}
    if found.is_file():
        return {"content": hash_file(found), "input": spec.input, "k": spec.k}
    return {"content": hash_folder(found), "input": spec.input}


def _words(source: str, found: Path | Release, told: str | None) -> str:
    """Where it came from: what the SAE tells, else its address; a shipped one also by its name, since a model can have
    several."""
    if isinstance(found, Release) or source.startswith(HUB):
        return told or source
    if source.startswith("shipped"):
        return f"{told or 'shipped'} ({found.name})"
    return told or f"local {found.name}"
