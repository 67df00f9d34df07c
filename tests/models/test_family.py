"""What kind of model made the vectors: from the table of models or the spec, never from the embeddings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core import pipeline
from core.config import OWN_MODEL, parse_spec
from core.errors import SpecError
from core.exhibits.shared.rows import kind
from core.fingerprint import stage_key
from core.models import KNOWN
from core.store import Store


def test_every_row_states_a_family() -> None:
    by_family: dict[str, set[str]] = {}
    for row in KNOWN.values():
        by_family.setdefault(row.family, set()).add(row.name)
    assert by_family["contrastive"] >= {"demo-clip", "clip-vit-b32", "siglip2-b16-512"}
    assert by_family["tuned"] >= {"gme-qwen2-vl-2b", "gme-qwen2-vl-7b", "vlm2vec-qwen2-vl-7b", "e5-v", "lamra-ret"}
    assert by_family["generative"] >= {"demo-mllm", "qwen2-vl-7b", "qwen3-vl-8b", "paligemma2-3b", "chameleon-7b"}
    assert "unknown" not in by_family


def test_a_spec_may_state_it_and_no_key_hangs_on_it() -> None:
    raw = {"corpus": {"source": "embeddings", "path": "x"}, "model": {"family": "contrastive"}}
    stated, silent = parse_spec(raw), parse_spec({"corpus": raw["corpus"]})
    assert (stated.model.name, stated.model.family, silent.model.family) == (OWN_MODEL, "contrastive", "unknown")
    assert stage_key("run", stated.keyed()) == stage_key("run", silent.keyed())
    assert parse_spec(stated.canonical()) == stated
    with pytest.raises(SpecError, match="'generative' \\(nearest\\)"):
        parse_spec({**raw, "model": {"family": "generativ"}})


def test_a_spec_cannot_contradict_the_table(tmp_path: Path) -> None:
    spec = parse_spec({"corpus": {"source": "demo"}, "model": {"name": "demo-clip", "family": "generative"}})
    with pytest.raises(SpecError, match="demo-clip is contrastive"):
        pipeline.run(spec, Store(tmp_path))


def own_embeddings(folder: Path) -> Path:
    folder.mkdir()
    rows = np.random.default_rng(0).standard_normal((6, 4), dtype=np.float32)
    for part, ids in (("queries", "q"), ("candidates", "c")):
        np.save(folder / f"{part}.npy", rows)
        frame = pd.DataFrame({"id": [f"{ids}{i}" for i in range(6)], "modality": "text", "text": "a"})
        frame.to_parquet(folder / f"{part}.parquet", index=False)
    pairs = pd.DataFrame({"query-id": [f"q{i}" for i in range(6)], "corpus-id": [f"c{i}" for i in range(6)]})
    pairs.assign(score=1).to_parquet(folder / "qrels.parquet", index=False)
    return folder


def test_own_embeddings_are_unknown_until_somebody_says_what_made_them(tmp_path: Path) -> None:
    corpus, store = {"source": "embeddings", "path": str(own_embeddings(tmp_path / "mine"))}, Store(tmp_path / "cache")
    raw = {"name": "mine", "corpus": corpus, "sae": {"source": "none"}}
    silent = pipeline.run(parse_spec(raw), store)
    assert silent.view.pooling == "projected", "the same pooling as a dual encoder's"
    assert (silent.family, kind(silent)) == ("unknown", "unknown")
    for family, word in (("generative", "multimodal LLM"), ("tuned", "fine-tuned retriever"), ("unknown", "unknown")):
        stated = pipeline.run(parse_spec({**raw, "model": {"family": family}}), store)
        assert (stated.key, stated.family, kind(stated)) == (silent.key, family, word)
        assert not stated.folder.verify()
