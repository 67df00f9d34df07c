"""Where dictionaries come from, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import save_file

from core.config import SaeSpec
from core.errors import SaeError, ShapeMismatch
from core.models import ModelFacts
from core.progress import NoProgress
from core.records import EmbeddingView
from core.sae import obtain
from core.sae.convert import _config
from core.sae.files import CONFIG, FACTS, WEIGHTS
from core.sae.sources import locate
from core.store import Folder, Store

D, C, K = 8, 20, 3
FACTS_OF_MODEL = ModelFacts("tiny", "dual", "0" * 16, "/nowhere", "", "clip", D, 0, "float32", "")
VIEW = EmbeddingView(-1, "projected", "all")


def sae_folder(path: Path, size: int = D) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    shapes = {"W_enc": (size, C), "b_enc": (C,), "W_dec": (C, size), "b_dec": (size,)}
    save_file({name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}, path / WEIGHTS)
    (path / CONFIG).write_text(json.dumps(_config(size, C, K)))
    return path


def get(spec: SaeSpec, store: Store, encoded: dict[str, Folder] | None = None) -> Folder:
    corpus = SimpleNamespace(name="made", items=lambda part: range(40))
    return obtain(spec, corpus, FACTS_OF_MODEL, lambda: None, encoded or {}, VIEW, store, NoProgress())[0]  # type: ignore[arg-type]


def test_a_folder_is_copied_with_its_dictionary_and_facts(tmp_path: Path) -> None:
    folder = sae_folder(tmp_path / "given")
    found = get(SaeSpec(source=str(folder)), Store(tmp_path / "cache"))
    assert found.array("dictionary").shape == (C, D)
    assert found.facts["k"] == K
    assert (found.facts["width"], found.facts["hidden_size"], found.facts["trained_on"]) == (C, D, "unknown")


def test_what_the_folder_says_of_itself_wins(tmp_path: Path) -> None:
    folder = sae_folder(tmp_path / "given")
    (folder / FACTS).write_text(json.dumps({"input": "normalised", "trained_on": "scenes"}))
    found = get(SaeSpec(source=str(folder)), Store(tmp_path / "cache"))
    assert (found.facts["input"], found.facts["trained_on"]) == ("normalised", "scenes")


def test_the_key_follows_the_content_not_the_place(tmp_path: Path) -> None:
    here, there = sae_folder(tmp_path / "a" / "sae"), sae_folder(tmp_path / "b" / "sae")
    store = Store(tmp_path / "cache")
    assert get(SaeSpec(source=str(here)), store).key == get(SaeSpec(source=str(there)), store).key


def test_another_width_of_embedding_is_refused_with_both_numbers(tmp_path: Path) -> None:
    folder = sae_folder(tmp_path / "given", size=D + 4)
    with pytest.raises(ShapeMismatch, match=f"d = {D + 4}.*d = {D}"):
        get(SaeSpec(source=str(folder)), Store(tmp_path / "cache"))


@pytest.mark.parametrize("source", ["no/such/place", "hf:owner", "shipped", "trian"])
def test_unknown_sources_are_refused(source: str) -> None:
    with pytest.raises(SaeError):
        locate(source, "a-model-without-one")


def test_a_folder_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SaeError, match="cfg.json"):
        get(SaeSpec(source=str(tmp_path)), Store(tmp_path / "cache"))


def test_training_on_the_embeddings_of_a_dual_encoder(tmp_path: Path) -> None:
    store = Store(tmp_path / "cache")
    rows = np.random.default_rng(2).normal(size=(40, D)).astype(np.float32)
    encoded = {"queries": store.build("encode", "tiny", {}, (), lambda draft: draft.save(str(VIEW), rows))}
    spec = SaeSpec(width=C, k=K, steps=5, batch=16, data="tokens", input="normalised")
    found = get(spec, store, encoded)
    assert found.facts["trained_on"].startswith("pooled embeddings of 40 queries of made")
    assert (found.facts["input"], found.facts["source"], len(found.facts["log"])) == ("normalised", "trained here", 2)
    assert found.array("dictionary").shape == (C, D)
    assert get(spec, store, encoded).path == found.path
    assert get(replace(spec, seed=1), store, encoded).path != found.path


def test_importing_the_packages_imports_nothing_heavy() -> None:
    code = (
        "import sys, core.models, core.encode, core.sae; print([m for m in ('torch', 'transformers', 'sae_lens') if m"
        " in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
