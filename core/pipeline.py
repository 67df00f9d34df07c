"""Spec -> run: what is cached, what must be computed, in order, with progress.

corpus -> encode (each part) -> sae -> codes (each part) -> run. Every arrow goes through the store, so a second call
finds everything and an interrupted one goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.artefact import origins_of
from core.config import OWN_MODEL, RunSpec
from core.errors import CorpusError, SpecError
from core.fingerprint import canonical, hash_array
from core.progress import NoProgress, Progress
from core.records import PARTS, EmbeddingView, Part
from core.run import Run
from core.store import Draft, Folder, Store

if TYPE_CHECKING:
    from core.corpus import Corpus
    from core.engine import Session
    from core.models import Adapter, ModelFacts
    from core.sae.codes import SaeEncoder


def run(spec: RunSpec, store: Store, progress: Progress | None = None, session: Session | None = None) -> Run:
    """Compute whatever of the run is not cached and open it.

    Args:
        session: workers that encode, code and make token states (`core/engine`); None: this process does. The run is
            the same.

    Raises:
        UserError: the corpus, model or SAE cannot be used; nothing already computed is lost.
    """
    from core.analysis.variants.expression import parse_variant
    from core.corpus import build_corpus, settled
    from core.models import describe
    from core.models.views import resolve_views
    from core.sae import check_source, check_training, encode_codes, plans

    progress = progress or NoProgress()
    spec = replace(spec, corpus=settled(spec.corpus, store))
    _check_family(spec)
    for chain in spec.variants.values():
        parse_variant(chain)
    asked, spec = spec, spec if session is None else replace(spec, model=session.settled(spec.model))
    # What could refuse the run is asked first: reading a large corpus takes long.
    if spec.model.name != OWN_MODEL:
        if session is None or session.is_local:  # elsewhere, the workers' machines have what this one may lack
            _check_model(spec, store)
        facts = describe(spec.model)
        read = facts_of_view(facts, resolve_views(spec.embedding, facts)[0])
        check_source(spec.sae, read)
        # A finished run of this spec needs no memory for training: its dictionaries may come from a larger machine.
        if spec.sae.source == "train" and not finished(spec, store):
            check_training(plans(spec.sae, read, steps=1))  # memory does not depend on steps
    corpus = build_corpus(spec.corpus, store, progress)
    own = corpus.own_embeddings("queries")
    facts = describe(spec.model) if own is None else own_facts(corpus, own.shape[1])
    model = _LazyModel(spec)
    encoded = _encode(spec, corpus, facts, model, store, progress, session) if own is None else _keep(corpus, store)
    saes = _saes(spec, corpus, facts, model, encoded, store, progress, session)
    codes: dict[Part, Folder] = {}
    if saes:  # the first view is the one that every page and every variant works on
        view, encoder = next(iter(encoded.values())).facts["views"][0], _encoder(session)
        codes = {
            part: encode_codes(saes[0], folder, view, store, progress, encoder) for part, folder in encoded.items()
        }
    return Run(_write_run(asked, corpus, facts, encoded, saes, codes, store, session), store)


def _encoder(session: Session | None) -> Callable[[Path, str], SaeEncoder]:
    """Who computes codes with an SAE: this process, or the workers."""
    if session is None:
        from core.sae.codes import SaeEncoder

        return SaeEncoder
    from core.engine.codes import Coders

    return Coders(session)


def finished(spec: RunSpec, store: Store) -> list[Folder]:
    """The runs of the cache that were made with this spec, newest first; their corpus may have changed since."""
    wanted = canonical(spec.keyed())  # as JSON: a manifest has lists where a spec has tuples
    return [folder for folder in store.folders("run") if canonical(folder.manifest["spec"]) == wanted]


def _check_family(spec: RunSpec) -> None:
    """SpecError where the spec contradicts the table of models."""
    from core.models.table import family_of

    known, stated = family_of(spec.model.name), spec.model.family
    if "unknown" not in (known, stated) and known != stated:
        raise SpecError(
            f"{spec.model.name} is {known}", got=f"[model] family = {stated!r}", todo="leave family out of the spec"
        )


def _check_model(spec: RunSpec, store: Store) -> None:
    """Refuse a model that cannot be loaded, before the corpus is read: a large one takes long.

    Not checked where the cache holds its embeddings of this corpus: then it is not loaded, and may be gone.
    """
    from core.models import check_model, check_processor, describe

    corpus = spec.canonical()["corpus"]
    made = {
        folder.facts.get("model_key")
        for folder in store.folders("run")
        if folder.manifest["spec"].get("corpus") == corpus
    }
    if not made or describe(spec.model).key not in made:
        check_model(spec.model)
        check_processor(spec.model, answers="answer" in (*spec.embedding.poolings, *spec.embedding.words))


def facts_of_view(facts: ModelFacts, view: EmbeddingView) -> ModelFacts:
    """Facts as a dictionary of a view needs them: its width is that of the view's rows."""
    return replace(facts, hidden_size=facts.width(view))


def own_facts(corpus: Corpus, width: int) -> ModelFacts:
    """Facts of embeddings that came with the corpus: no model, one view."""
    from core.models import ModelFacts

    return ModelFacts(
        name=OWN_MODEL,
        kind="dual",
        key=corpus.key,
        source=corpus.name,
        revision="",
        model_type="",
        hidden_size=width,
        layers=0,
        dtype="float32",
        preset="",
    )


def _keep(corpus: Corpus, store: Store) -> dict[Part, Folder]:
    """Own embeddings as "encode" folders, keyed by their content."""
    return {part: _keep_part(corpus, part, store) for part in PARTS if corpus.has(part)}


def _keep_part(corpus: Corpus, part: Part, store: Store) -> Folder:
    from core.models.base import PROJECTED

    rows = corpus.own_embeddings(part)
    if rows is None:
        raise CorpusError(f"{part} came without embeddings", got=corpus.name, todo=f"add {part}.npy to the folder")

    def write(draft: Draft) -> None:
        draft.facts["views"] = [str(PROJECTED)]
        draft.save(str(PROJECTED), np.asarray(rows, dtype=np.float32))

    spec, needs = {"own": hash_array(np.asarray(rows))}, rows.size * np.dtype(np.float32).itemsize
    return store.build("encode", f"{corpus.name}-{part}", spec, (), write, needs=needs)


class _LazyModel:
    """The adapter, loaded when a stage first needs it: a run whose stages are all in the cache needs none."""

    def __init__(self, spec: RunSpec) -> None:
        self._spec = spec
        self._adapter: Adapter | None = None

    def __call__(self) -> Adapter:
        from core.models import load_model

        if self._adapter is None:
            self._adapter = load_model(self._spec.model)
        return self._adapter

    @property
    def load(self) -> Callable[[], Adapter]:
        """Loads it in another process."""
        from core.engine.worker import LoadModel
        from core.models.options import trusted

        return LoadModel(self._spec.model, trusted())


def _encode(
    spec: RunSpec,
    corpus: Corpus,
    facts: ModelFacts,
    model: _LazyModel,
    store: Store,
    progress: Progress,
    session: Session | None,
) -> dict[Part, Folder]:
    from core.encode import encode_part
    from core.models.views import check_masks, resolve_views

    embedding, words = spec.embedding, spec.embedding.words
    views = resolve_views(embedding, facts)
    check_masks([corpus.items(part) for part in PARTS if corpus.has(part)], views)
    if session is not None:
        from core.engine.encoding import EncodeJob

        share = spec.corpus.max_bad_share
        job = EncodeJob(facts, model.load, views, words, embedding.batch_tokens, share)
        return job.folders(session, corpus, [part for part in PARTS if corpus.has(part)], store, progress)
    return {
        part: encode_part(corpus.items(part), facts, model, views, store, progress, embedding.batch_tokens, words)
        for part in PARTS
        if corpus.has(part)
    }


def _saes(
    spec: RunSpec,
    corpus: Corpus,
    facts: ModelFacts,
    model: _LazyModel,
    encoded: dict[Part, Folder],
    store: Store,
    progress: Progress,
    session: Session | None,
) -> tuple[Folder, ...]:
    """The run's own SAE, then those trained beside it."""
    if spec.sae.source == "none":
        return ()
    from core.models.views import resolve_views
    from core.sae import obtain

    view, makers = resolve_views(spec.embedding, facts)[0], None
    if session is not None and corpus.own_embeddings(next(iter(encoded))) is None:
        from core.engine.shipping import CorpusOf
        from core.engine.states import StateWorkers

        sizes = {part: len(corpus.items(part)) for part in encoded}
        makers = StateWorkers(session, CorpusOf(store.root, corpus.key), sizes, corpus.task, model.load, view)
    return obtain(spec.sae, corpus, facts_of_view(facts, view), model, encoded, view, store, progress, makers)


def _write_run(
    spec: RunSpec,
    corpus: Corpus,
    facts: ModelFacts,
    encoded: dict[Part, Folder],
    saes: tuple[Folder, ...],
    codes: dict[Part, Folder],
    store: Store,
    session: Session | None,
) -> Folder:
    from core.models.views import resolve_views

    def write(draft: Draft) -> None:
        draft.facts |= {
            "name": spec.run_name,
            "model": facts.name,
            "model_key": facts.key,
            "family": spec.model.family,
            "steps_left_out": spec.sae.steps is None,
            "corpus": corpus.key,
            "views": [asdict(v) for v in resolve_views(spec.embedding, facts)],
            "encode": {part: folder.key for part, folder in encoded.items()},
            "sae": saes[0].key if saes else None,
            "saes": [sae.key for sae in saes],
            "codes": {part: folder.key for part, folder in codes.items()},
        } | ({} if session is None else {"engine": session.facts()})

    parents = (corpus.folder, *encoded.values(), *saes, *codes.values())
    keys = tuple(parent.key for parent in parents)
    folder = store.build("run", spec.run_name, spec.keyed(), keys, write, origins=origins_of(parents))
    # The family is in no key, so a run made before its spec stated one is found as it was: state it now.
    if folder.facts.get("family", "unknown") != spec.model.family:
        folder = store.state(folder, {"family": spec.model.family})
    return folder
