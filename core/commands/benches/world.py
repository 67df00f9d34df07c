"""A large corpus of own embeddings with planted concepts: for measuring stores and pages, without a model.

In: how many candidates and queries, how wide. Out: a folder as `[corpus] source = "embeddings"` reads it (captions of
the demo world with their vectors, pictures' vectors as queries, relevance, a support split) and an SAE folder as
sae-lens writes it; `large_spec` is the run of both. Everything after that is the project's own.

Scene i of a split has one picture (a query) and two captions (candidates). A row is

    h = m + s_side + sum_k a_k D_k + noise

with unit dictionary rows D (c, d), a mean m, an offset s_side of its modality, and K active concepts: some that fire on
everything, those of its scene's things, background and relation (a third on both sides, a third on each side alone),
some of the scene itself, and some of its own. The SAE's encoder is D^T: its Top-K finds most of them again. Knows
nothing of stores; nothing of size items x concepts is dense.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import numpy as np
from scipy.sparse import csr_array

from core import world
from core.config import OWN_MODEL, CorpusSpec, ModelSpec, RunSpec, SaeSpec
from core.world import Scene

TASK = 4
"""Image to text."""
CAPTIONS = 2
"""Of a scene."""
EVERYWHERE, OF_THE_SCENE, OF_AN_ATTRIBUTE = 6, 8, 3
"""Concepts that fire on every item; of one scene; and of one attribute: so many on both sides, and so many on each."""
MOST_ATTRIBUTES = 5
MEAN, SIDE, NOISE = 6.0, 3.0, 1.0
"""Lengths of the mean, of a modality's offset and of the noise; an active concept is 0.5 to 1.5 long."""
BLOCK = 4096
"""Scenes at a time."""
Side = Literal["image", "text"]
Split = Literal["test", "support"]


@dataclass(frozen=True)
class Size:
    """How large a corpus is.

    Attributes:
        candidates, queries: of the test split. support: queries of the support split; it has twice as many candidates.
        width: d of the embeddings. concepts, k: of the dictionary.
    """

    candidates: int = 100_000
    queries: int = 5_000
    support: int = 2_000
    width: int = 1_024
    concepts: int = 32_768
    k: int = 50

    @classmethod
    def of(cls, items: int, width: int = 1_024, concepts: int = 32_768) -> Size:
        """`items` candidates with a twentieth as many queries, at most 5,000; small ones get a small dictionary."""
        queries = max(1, min(5_000, items // 20))
        return cls(items, queries, max(4, min(2_000, queries)), width, concepts, min(50, concepts // 4))

    @property
    def items(self) -> int:
        """Items of all parts."""
        return self.candidates + self.queries + 3 * self.support


def write_world(folder: Path, size: Size, seed: int = 0) -> RunSpec:
    """Write corpus and SAE below `folder` and return the spec of their run."""
    planted = _Planted.draw(size, seed)
    corpus = folder / "corpus"
    corpus.mkdir(parents=True)
    _write_split(corpus, "test", size.queries, size.candidates, planted)
    _write_split(corpus, "support", size.support, CAPTIONS * size.support, planted)
    _write_sae(folder / "sae", planted, size)
    return large_spec(folder)


def large_spec(folder: Path, name: str = "large") -> RunSpec:
    """The run of such a folder."""
    return RunSpec(
        name=name,
        corpus=CorpusSpec(source="embeddings", path=str(folder / "corpus"), task=TASK),
        model=ModelSpec(name=OWN_MODEL),
        sae=SaeSpec(source=str(folder / "sae")),
    )


@dataclass(frozen=True, eq=False)
class _Planted:
    """What the rows are made of."""

    dictionary: np.ndarray
    """(c, d) float32, unit rows."""
    mean: np.ndarray
    sides: dict[Side, np.ndarray]
    of_attribute: dict[Side, dict[str, np.ndarray]]
    k: int
    seed: int

    @classmethod
    def draw(cls, size: Size, seed: int) -> _Planted:
        rng = np.random.default_rng(seed)
        dictionary = _unit(rng.standard_normal((size.concepts, size.width), dtype=np.float32))
        mean, image, text = _unit(rng.standard_normal((3, size.width), dtype=np.float32))
        of_attribute: dict[Side, dict[str, np.ndarray]] = {"image": {}, "text": {}}
        for name in _attribute_names():
            own = rng.integers(EVERYWHERE, size.concepts, 3 * OF_AN_ATTRIBUTE)
            both = own[:OF_AN_ATTRIBUTE]
            of_attribute["image"][name] = np.concatenate([both, own[OF_AN_ATTRIBUTE : 2 * OF_AN_ATTRIBUTE]])
            of_attribute["text"][name] = np.concatenate([both, own[2 * OF_AN_ATTRIBUTE :]])
        return cls(dictionary, MEAN * mean, {"image": SIDE * image, "text": SIDE * text}, of_attribute, size.k, seed)

    def rows(self, side: Side, split: Split, numbers: np.ndarray, attributes: list[list[str]], copy: int) -> np.ndarray:
        """(n, d) float32 rows of these scenes; `copy` tells the captions of a scene apart."""
        c, d = self.dictionary.shape
        own = np.random.default_rng([self.seed, ("test", "support").index(split), int(numbers[0]), 1 + copy, len(side)])
        scene = np.random.default_rng([self.seed, ("test", "support").index(split), int(numbers[0]), 0])
        ids = scene.integers(EVERYWHERE, c, (len(numbers), OF_THE_SCENE))
        columns, starts = [], [0]
        for row, names in enumerate(attributes):
            of_names = [self.of_attribute[side][name] for name in names]
            active = np.concatenate([np.arange(EVERYWHERE), ids[row], *of_names])[: self.k]
            active = np.concatenate([active, own.integers(EVERYWHERE, c, max(0, self.k - len(active)))])
            columns.append(active)
            starts.append(starts[-1] + len(active))
        values = own.uniform(0.5, 1.5, starts[-1]).astype(np.float32)
        codes = csr_array((values, np.concatenate(columns), np.array(starts)), shape=(len(numbers), c))
        noise = own.standard_normal((len(numbers), d), dtype=np.float32) * np.float32(NOISE / np.sqrt(d))
        return cast("np.ndarray", codes @ self.dictionary + self.mean + self.sides[side] + noise)


def _unit(rows: np.ndarray) -> np.ndarray:
    return cast("np.ndarray", rows / np.linalg.norm(rows, axis=1, keepdims=True))


def _attribute_names() -> list[str]:
    return [*world.NAMES, *world.BACKGROUNDS, "left of", "right of", "above", "below"]


def _attributes(scene: Scene) -> list[str]:
    """Things, background and relation of a scene."""
    names = [*scene.things, scene.background]
    return [*names, *([scene.relation.word] if scene.relation else [])][:MOST_ATTRIBUTES]


def _write_split(corpus: Path, split: Split, queries: int, candidates: int, planted: _Planted) -> None:
    """Vectors, ids, captions and pairs of one split."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    prefix, d = "" if split == "test" else "support_", planted.dictionary.shape[1]
    both: tuple[tuple[str, int], ...] = ((f"{prefix}queries", queries), (f"{prefix}candidates", candidates))
    vectors = {
        name: np.lib.format.open_memmap(corpus / f"{name}.npy", "w+", np.float32, (number, d)) for name, number in both
    }
    schema = pa.schema([("id", pa.string()), ("modality", pa.string()), ("text", pa.string())])
    tables = {name: pq.ParquetWriter(corpus / f"{name}.parquet", schema) for name in vectors}
    pairs = pq.ParquetWriter(
        corpus / f"{prefix}qrels.parquet",
        pa.schema([("query-id", pa.string()), ("corpus-id", pa.string()), ("score", pa.int64())]),
    )

    def write(
        name: str, start: int, rows: np.ndarray, ids: list[str], texts: Sequence[str | None], modality: Side
    ) -> None:
        vectors[name][start : start + len(rows)] = rows
        columns = {"id": ids, "modality": [modality] * len(ids), "text": texts}
        tables[name].write_table(pa.table(columns, schema=schema))

    for numbers, attributes, captions in _scenes(split, max(queries, -(-candidates // CAPTIONS))):
        asked = numbers[numbers < queries]
        if len(asked):
            rows = planted.rows("image", split, numbers, attributes, 0)[: len(asked)]
            names = [f"{split}-{n}" for n in asked]
            write(f"{prefix}queries", int(numbers[0]), rows, names, [None] * len(asked), "image")
        made = [planted.rows("text", split, numbers, attributes, copy) for copy in range(CAPTIONS)]
        start = CAPTIONS * int(numbers[0])
        kept = min(CAPTIONS * len(numbers), candidates - start)
        if kept <= 0:
            continue
        rows = np.stack(made, axis=1).reshape(-1, d)[:kept]
        names = [f"{split}-{n}-{copy}" for n in numbers for copy in range(CAPTIONS)][:kept]
        texts = [text for several in captions for text in several][:kept]
        write(f"{prefix}candidates", start, rows, names, texts, "text")
        linked = [(f"{split}-{name.split('-')[1]}", name) for name in names if int(name.split("-")[1]) < queries]
        if linked:
            left, right = zip(*linked, strict=True)
            pairs.write_table(pa.table({"query-id": left, "corpus-id": right, "score": [1] * len(linked)}))
    for writer in (*tables.values(), pairs):
        writer.close()
    for rows in vectors.values():
        rows.flush()  # a memmap


def _scenes(split: Split, number: int) -> Iterator[tuple[np.ndarray, list[list[str]], list[list[str]]]]:
    """Numbers, attributes and captions of a block of scenes at a time."""
    for start in range(0, number, BLOCK):
        numbers = np.arange(start, min(start + BLOCK, number))
        attributes, captions = [], []
        for n in numbers:
            scene, rng = world.scene(split, int(n)), world.stream("captions", split, int(n))
            attributes.append(_attributes(scene))
            captions.append([world.caption(scene, rng) for _ in range(CAPTIONS)])
        yield numbers, attributes, captions


def _write_sae(folder: Path, planted: _Planted, size: Size) -> None:
    """A Top-K SAE whose decoder is the planted dictionary, as sae-lens writes one."""
    from safetensors.numpy import save_file

    folder.mkdir()
    mean = planted.mean + (planted.sides["image"] + planted.sides["text"]) / 2
    weights = {
        "W_enc": np.ascontiguousarray(planted.dictionary.T), "b_enc": np.zeros(size.concepts, np.float32),
        "W_dec": planted.dictionary, "b_dec": mean.astype(np.float32),
    }  # fmt: skip
    save_file(weights, folder / "sae_weights.safetensors")
    config = {
        "architecture": "topk", "d_in": size.width, "d_sae": size.concepts, "k": size.k, "dtype": "float32",
        "device": "cpu", "apply_b_dec_to_input": True, "normalize_activations": "none", "reshape_activations": "none",
        "rescale_acts_by_decoder_norm": False, "metadata": {},
    }  # fmt: skip
    (folder / "cfg.json").write_text(json.dumps(config))
