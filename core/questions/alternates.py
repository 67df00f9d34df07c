"""Other dictionaries for the same embeddings: the SAEs shipped for the model, and directions fitted on the run's own
rows.

An alternate has the contract of the run's SAE: h = z D + u + e, unit rows of D, sparse codes z >= 0, in embedding
units. Directions (PCA, ICA, k-means) are fitted on the support split and the pool of candidates, never on test queries
where there is a support split. Dictionaries and codes are kept with the run's answers, so that removing the run removes
them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from core.analysis.concepts.directions import DictionaryKind, DirectionDictionary
from core.analysis.concepts.measures import concept_table
from core.analysis.variants import FittedVariant, VariantSpec, fit_variant
from core.analysis.variants.fitdata import SHARED_FITS, FitData
from core.errors import NotAvailable
from core.fingerprint import hash_folder
from core.memo import Memo
from core.questions.answers import answer, fit_data
from core.records import Part, StatePlace
from core.run import Run
from core.sae.codes import checked_csr
from core.store import Draft, Folder

OWN = "own SAE"
DIRECTIONS: dict[DictionaryKind, str] = {
    "pca": "PCA directions",
    "ica": "ICA directions",
    "kmeans": "k-means directions",
}
SEED = 0
FIT_PARTS: tuple[Part, ...] = ("support_queries", "support_candidates", "candidates")
IN_MEMORY = 8
"""Dictionaries, and variants fitted with them, that stay in memory per run."""
_ENCODING = threading.Lock()

Encode = Callable[[np.ndarray], tuple[csr_array, np.ndarray]]
"""Rows (n, d) to codes (n, c) and offsets (1, d) or (n, d)."""


@dataclass(frozen=True, eq=False)
class Alternate:
    """One dictionary with the codes of every part of the run."""

    name: str
    kind: str
    """"sae" or "directions"."""
    fitted_on: str
    dictionary: np.ndarray
    codes: Mapping[Part, csr_array]
    offsets: Mapping[Part, np.ndarray]
    trained: Mapping[str, Any]
    """Facts of the training: `explained_variance` of its last step and `rows` it was measured on, where they are
    known."""
    identity: Mapping[str, Any]
    """What its numbers depend on, for cache keys."""
    notes: tuple[str, ...] = ()

    def reconstruction(self, part: Part) -> np.ndarray:
        """(n, d): z D + u of every item of a part."""
        return self.codes[part] @ self.dictionary.astype(np.float64) + self.offsets[part]

    def measures(self, run: Run) -> pd.DataFrame:
        """The four measures of its concepts on the run's test items and pairs (`measures.concept_table`)."""
        queries, candidates = (run.corpus.items(part).modality for part in ("queries", "candidates"))
        pairs = run.qrels("test").pairs
        codes = self.codes["queries"], self.codes["candidates"]
        return run.memo(
            ("measures", self.name),
            lambda: concept_table(*codes, queries, candidates, pairs, self.dictionary),
            limit=2,
        )

    def data(self, run: Run) -> FitData:
        """All a variant may be fitted on, with this dictionary in the place of the run's own."""
        return replace(
            fit_data(run),
            dictionary=self.dictionary,
            query_codes=self.codes.get("queries"),
            candidate_codes=self.codes.get("candidates"),
            support_query_codes=self.codes.get("support_queries"),
            support_candidate_codes=self.codes.get("support_candidates"),
            memo=Memo(SHARED_FITS),
        )


@dataclass(frozen=True)
class Source:
    """Where an alternate comes from; `make` writes it where it is not cached."""

    name: str
    kind: str
    fitted_on: str
    identity: Mapping[str, Any]
    make: Callable[[Draft], None]
    trained: Mapping[str, Any]
    encoder: Callable[[Alternate], Encode] | None = None
    """Makes what codes rows that are not the run's; None where that is not kept (ICA's unmixing)."""


def names(run: Run) -> list[str]:
    """Dictionaries at hand, the run's own first."""
    return [OWN] * (run.sae is not None) + [source.name for source in sources(run)]


def alternate(run: Run, name: str) -> Alternate:
    """The dictionary of that name with its codes, from the cache or made now.

    Raises:
        NotAvailable: the own SAE of a run without one.
    """
    if name == OWN:
        return own(run)
    source = next(source for source in sources(run) if source.name == name)
    return _read(run, source, answer(run, "dictionary", source.identity, source.make))


def held(run: Run, name: str) -> Alternate:
    """`alternate`, kept in memory: for questions about single items."""
    return run.memo(("alternate", name), lambda: alternate(run, name), limit=IN_MEMORY)


def fitted_with(run: Run, name: str, spec: VariantSpec) -> FittedVariant:
    """The variant fitted on this run, its mean codes those of that dictionary.

    Raises:
        NotAvailable: the variant edits or removes concepts, which are those of the run's own SAE.
    """
    if spec.edits or spec.removed or spec.of_stage("removal"):
        raise NotAvailable(
            f"this variant changes concepts of the run's own SAE, which {name} does not know",
            got=str(spec),
            todo="choose the own SAE, or a variant without edits and removals",
        )
    return run.memo(("fitted with", name, spec), lambda: fit_variant(spec, held(run, name).data(run)), limit=IN_MEMORY)


def live_names(run: Run) -> list[str]:
    """Dictionaries that can code an item that is in no table, the run's own first."""
    return [OWN] * (run.sae is not None) + [one.name for one in sources(run) if one.encoder is not None]


def encode(run: Run, name: str, row: np.ndarray) -> tuple[csr_array, np.ndarray]:
    """Codes (1, c) and offset (d,) of one embedding (d,) by another dictionary than the run's own.

    Raises:
        NotAvailable: that dictionary keeps no encoder.
    """
    source = next(source for source in sources(run) if source.name == name)
    if source.encoder is None:
        raise NotAvailable(f"{name} cannot code a new item", allowed=", ".join(live_names(run)))
    encoder = source.encoder
    encode = run.memo(("alternate encoder", name), lambda: encoder(held(run, name)), limit=IN_MEMORY)
    with _ENCODING:  # an SAE's encoder keeps what it has just seen
        codes, offset = encode(row[None])
    return codes, offset[0]


def own(run: Run) -> Alternate:
    """The run's own SAE."""
    sae = run.need_sae()
    return Alternate(
        name=OWN,
        kind="sae",
        fitted_on=sae.trained_on,
        dictionary=sae.dictionary,
        codes={part: csr_array(run.codes(part)) for part in run.parts},
        offsets={part: run.offset(part) for part in run.parts},
        trained=_trained(run.sae_folder.facts),
        identity={"own": True},
    )


def sources(run: Run) -> list[Source]:
    """SAEs trained beside the run's own, those shipped for the model, then directions, as many as its SAE has
    concepts."""
    return [*_beside(run), *_shipped(run), *_directions(run)]


def _beside(run: Run) -> list[Source]:
    """SAEs of other width or K that were trained with the run's own."""
    listed = []
    for option in run.saes()[1:]:
        facts, identity = option.folder.facts, {"sae": option.folder.key, "view": str(run.view)}
        make = _sae_maker(run, option.folder.checked, str(facts["input"]))
        encoder = _sae_encoder(option.folder.checked, str(facts["input"]))
        listed.append(
            Source(f"SAE {option.name}", "sae", str(facts["trained_on"]), identity, make, _trained(facts), encoder)
        )
    return listed


def _shipped(run: Run) -> list[Source]:
    from core.sae import shipped_saes
    from core.sae.files import read_facts, unit_dictionary

    listed = []
    for name, folder in shipped_saes(run.model_name).items():
        facts, rows = read_facts(folder), unit_dictionary(folder)
        is_own = run.sae is not None and np.array_equal(rows, run.sae.dictionary)
        # An SAE of another layer has the same width and knows nothing of these embeddings.
        same_place = run.view.place == StatePlace(facts.get("layer", -1))
        fits = same_place and rows.shape[1] == run.embeddings("queries").shape[1]
        if is_own or not fits:
            continue
        label = name.removeprefix(run.model_name).strip("-") or "shipped"
        place, input_ = partial(Path, folder), str(facts.get("input", "raw"))
        make, encoder = _sae_maker(run, place, input_), _sae_encoder(place, input_)
        identity, source = {"sae": hash_folder(folder), "view": str(run.view)}, str(facts.get("trained_on", "unknown"))
        listed.append(Source(f"SAE {label}", "sae", source, identity, make, _trained(facts), encoder))
    return listed


def _trained(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Explained variance at the end of training, and of which rows it is."""
    last = facts.get("last") or (facts.get("log") or [{}])[-1]
    rows = facts.get("recipe", {}).get("data") or facts.get("training", {}).get("data") or "unknown"
    return {"explained_variance": float(last.get("explained_variance", np.nan)), "rows": str(rows)}


def _sae_maker(run: Run, place: Callable[[], Path], input_: str) -> Callable[[Draft], None]:
    def make(draft: Draft) -> None:
        from core.sae import SaeEncoder
        from core.sae.files import unit_dictionary

        folder = place()
        encoder = SaeEncoder(folder, input_)
        draft.save("dictionary", unit_dictionary(folder))
        for part in run.parts:
            coded = encoder.encode(run.embeddings(part))
            _save(draft, part, csr_array(coded.codes), coded.offset)

    return make


def _sae_encoder(place: Callable[[], Path], input_: str) -> Callable[[Alternate], Encode]:
    def make(_: Alternate) -> Encode:
        from core.sae import SaeEncoder

        encoder = SaeEncoder(place(), input_)

        def encode(rows: np.ndarray) -> tuple[csr_array, np.ndarray]:
            coded = encoder.encode(rows)
            return csr_array(coded.codes), coded.offset

        return encode

    return make


def _direction_encoder(kind: DictionaryKind, k: int) -> Callable[[Alternate], Encode]:
    """Scores are inner products with the directions themselves; not for ICA, whose unmixing is not kept."""

    def make(other: Alternate) -> Encode:
        rows, offset = np.asarray(other.dictionary, np.float64), np.asarray(other.offsets["candidates"][0], np.float64)
        directions = DirectionDictionary(rows, offset, rows.T, k, kind, 0)
        return lambda new: (directions.encode(np.asarray(new, np.float64)), offset[None])

    return make


def _directions(run: Run) -> list[Source]:
    parts: tuple[Part, ...] = tuple(part for part in FIT_PARTS if part in run.parts)
    words = "support split and pool of candidates, without labels"
    if "support_queries" not in parts:
        parts, words = ("queries", "candidates"), "test queries and pool, without labels (no support split)"
    size, k = (run.sae.width, run.sae.k) if run.sae is not None else (2 * run.embeddings("queries").shape[1], 24)
    listed = []
    for kind, name in DIRECTIONS.items():
        identity = {"directions": kind, "size": size, "k": k, "seed": SEED, "fitted_on": list(parts)}
        make, encoder = _direction_maker(run, kind, size, k, parts), _direction_encoder(kind, k)
        listed.append(Source(name, "directions", words, identity, make, {}, None if kind == "ica" else encoder))
    return listed


def _direction_maker(
    run: Run, kind: DictionaryKind, size: int, k: int, parts: tuple[Part, ...]
) -> Callable[[Draft], None]:
    def make(draft: Draft) -> None:
        from core.analysis.concepts.directions import fit_directions

        rows = np.vstack([run.embeddings(part) for part in parts])
        directions = fit_directions(rows, kind=kind, size=min(size, len(rows)), k=k, seed=SEED)
        draft.save("dictionary", np.asarray(directions.dictionary, np.float32))
        for part in run.parts:
            _save(draft, part, csr_array(directions.encode(run.embeddings(part))), directions.offset[None])
        draft.facts["notes"] = list(directions.notes)

    return make


def _save(draft: Draft, part: Part, codes: csr_array, offset: np.ndarray) -> None:
    for name in ("data", "indices", "indptr"):
        draft.save(f"{part}-{name}", getattr(codes, name))
    draft.save(f"{part}-offset", np.asarray(offset, np.float32))


def _read(run: Run, source: Source, folder: Folder) -> Alternate:
    dictionary = folder.array("dictionary")
    codes, offsets = {}, {}
    for part in run.parts:
        shape = len(run.embeddings(part)), len(dictionary)
        codes[part] = csr_array(checked_csr(folder, f"{part}-", shape, rising=False))
        offsets[part] = folder.array(f"{part}-offset")
    notes = tuple(folder.facts.get("notes", ()))
    return Alternate(
        source.name, source.kind, source.fitted_on, dictionary, codes, offsets, source.trained, source.identity, notes
    )
