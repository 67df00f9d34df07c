"""Names, facts, keys, and what is refused in one line."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from core.config import EmbeddingSpec, ModelSpec
from core.errors import ModelError, SpecError
from core.models import KNOWN, check_model, check_processor, describe, known_models, load_model
from core.models.base import PROJECTED
from core.models.facts import kind_of
from core.models.views import resolve_views
from core.records import EmbeddingView


@pytest.fixture
def copy(llava_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(llava_folder, tmp_path / "copy"))


def test_facts_of_a_folder(llava_folder: Path, clip_folder: Path) -> None:
    facts = describe(ModelSpec(name=str(llava_folder), dtype="float32"))
    assert (facts.name, facts.kind, facts.hidden_size, facts.layers, facts.preset) == (
        "tiny-llava",
        "chat",
        32,
        3,
        "study",
    )
    facts = describe(ModelSpec(name=str(clip_folder), dtype="float32"))
    assert (facts.name, facts.kind, facts.hidden_size, facts.layers, facts.preset) == ("tiny-clip", "dual", 20, 0, "")


def test_the_key_follows_weights_preset_and_dtype_not_the_place(llava_folder: Path, copy: Path) -> None:
    spec = ModelSpec(name=str(llava_folder), dtype="float32")
    key = describe(spec).key
    assert describe(replace(spec, name=str(copy))).key == key
    others = [replace(spec, preset="chat"), replace(spec, dtype="bfloat16")]
    config = json.loads((copy / "processor_config.json").read_text())
    (copy / "processor_config.json").write_text(json.dumps(config | {"chat_template": "x"}))
    others.append(replace(spec, name=str(copy)))
    assert len({key, *(describe(other).key for other in others)}) == 4


def test_the_preset_does_not_matter_to_a_dual_encoder(clip_folder: Path) -> None:
    assert describe(ModelSpec(name=str(clip_folder))) == describe(ModelSpec(name=str(clip_folder), preset="chat"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("demo-mlm", "no such model.*'demo-mllm' \\(nearest\\)"),
        ("someone/nothing-of-the-kind", "cannot be reached"),
        ("Qwen/Qwen2-VL-7B-Instruct", "cannot be reached.*hf download"),
        ("qwen2-vl-7b", "cannot be reached"),
        ("a/b/c", "no such model"),
        ("bad name/with blanks", "not a hub id|cannot be reached"),
    ],
)
def test_names_that_lead_nowhere(name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        describe(ModelSpec(name=name))


def test_broken_folders(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no model"):
        describe(ModelSpec(name=str(tmp_path)))
    (copy / "model.safetensors").unlink()
    (copy / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ModelError, match="no safetensors"):
        load_model(ModelSpec(name=str(copy)))
    (copy / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelError, match="model.safetensors cannot be read"):
        check_model(ModelSpec(name=str(copy)))
    (copy / "config.json").write_text("{")
    with pytest.raises(ModelError, match="not JSON"):
        describe(ModelSpec(name=str(copy)))


def test_weights_that_break_off_or_lack_a_file_are_refused_without_loading(copy: Path) -> None:
    whole = copy / "model.safetensors"
    whole.write_bytes(whole.read_bytes()[:-100])
    with pytest.raises(ModelError, match="model.safetensors cannot be read; got .*incomplete.*fetch or copy it again"):
        check_model(ModelSpec(name=str(copy)))
    whole.rename(copy / "model-00001-of-00002.safetensors")
    weights = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (copy / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weights}))
    with pytest.raises(ModelError, match="lacks 1 of 2 weight files; got no model-00002-of-00002.safetensors"):
        check_model(ModelSpec(name=str(copy)))


def test_an_adapter_is_not_a_model(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy / "adapter_model.safetensors")
    (copy / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="holds an adapter, not a whole model.*merge_and_unload"):
        check_model(ModelSpec(name=str(copy)))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ("chat_template*", "no chat template"),
        ("tokenizer*", "comes without a tokenizer; got special tokens only|cannot be loaded; got .*tokenizer"),
        ("processor_config.json", "cannot be loaded; got .*image processor"),
    ],
)
def test_what_lies_beside_the_weights_is_needed(copy: Path, files: str, message: str) -> None:
    for path in copy.glob(files):
        path.unlink()
    check_model(ModelSpec(name=str(copy)))
    for refuse in (check_processor, load_model):
        with pytest.raises(ModelError, match=message) as caught:
            refuse(ModelSpec(name=str(copy)))
        assert "\n" not in str(caught.value)


def test_too_little_memory_is_said_first(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.models.memory.free_gib", lambda spread: 1e-6)
    with pytest.raises(ModelError, match="does not fit into memory"):
        load_model(ModelSpec(name=str(copy)))


def test_the_table_holds_the_models_of_the_study() -> None:
    names = {row["hub_id"] for row in known_models()}
    assert {
        "Qwen/Qwen2-VL-7B-Instruct",
        "Qwen/Qwen3-VL-8B-Instruct",
        "google/paligemma2-3b-mix-224",
        "facebook/chameleon-7b",
    } <= names
    assert [KNOWN[name].kind for name in ("demo-mllm", "demo-clip", "paligemma2-3b", "siglip2-b16-512")] == [
        "chat",
        "dual",
        "plain",
        "dual",
    ]
    assert kind_of("smolvlm") == "chat"


def test_views_of_a_decoder(llava_folder: Path) -> None:
    facts = describe(ModelSpec(name=str(llava_folder)))
    views = resolve_views(EmbeddingSpec(layers=(-1, 2), poolings=("mean", "last"), masks=("all", "no-image")), facts)
    assert views[0] == EmbeddingView(-1, "mean", "all")
    assert len(views) == 8
    for wrong in ({"layers": (4,)}, {"layers": (-5,)}, {"poolings": ("projected",)}):
        with pytest.raises(SpecError, match="tiny-llava"):
            resolve_views(EmbeddingSpec(**wrong), facts)


def test_without_cross_each_view_differs_from_the_first_in_one_field(llava_folder: Path) -> None:
    facts = describe(ModelSpec(name=str(llava_folder)))
    spec = EmbeddingSpec(layers=(-1, 2), poolings=("mean", "last"), masks=("all", "no-image"), cross=False)
    assert [str(v) for v in resolve_views(spec, facts)] == [
        str(EmbeddingView(*v))
        for v in [(-1, "mean", "all"), (-1, "mean", "no-image"), (-1, "last", "all"), (2, "mean", "all")]
    ]


def test_views_of_a_dual_encoder(clip_folder: Path) -> None:
    facts = describe(ModelSpec(name=str(clip_folder)))
    assert (
        resolve_views(EmbeddingSpec(), facts)
        == resolve_views(EmbeddingSpec(poolings=("projected",)), facts)
        == (PROJECTED,)
    )
    for wrong in ({"layers": (-2,)}, {"poolings": ("last",)}, {"masks": ("text",)}):
        with pytest.raises(SpecError, match="dual encoder"):
            resolve_views(EmbeddingSpec(**wrong), facts)
