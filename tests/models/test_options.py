"""Loading options, code of repositories, and everything a checkpoint may lack, each said in one line before weights are
fetched."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from core.config import ModelSpec
from core.errors import ModelError
from core.models import Adapter, check_model, describe, load_model
from core.models.memory import check_memory, hub_parameters, stored_parameters
from core.models.options import is_trusted, loading_options, trusted_source, trusting
from core.records import EmbeddingView, Item

MEAN = EmbeddingView()


@pytest.fixture
def copy(llava_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(llava_folder, tmp_path / "copy"))


def error(name: str) -> Exception:
    """An error as huggingface_hub raises it."""
    from huggingface_hub import errors

    kind = getattr(errors, name)
    if issubclass(kind, errors.HfHubHTTPError):
        request = SimpleNamespace(method="GET", url="https://huggingface.co")
        return kind("refused", response=SimpleNamespace(headers={}, status_code=403, request=request))
    return kind("refused")


# Options
# -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_the_attention_kernel_reaches_the_model(
    llava_folder: Path, llava: Adapter, mixed: list[Item], attention: str
) -> None:
    adapter: Any = load_model(ModelSpec(name=str(llava_folder), attention=attention))
    assert adapter.model.config.get_text_config()._attn_implementation == attention
    found, expected = adapter.embed(mixed, [MEAN])[MEAN], llava.embed(mixed, [MEAN])[MEAN]
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


def test_flash_attention_without_its_package_or_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = ModelSpec(name="someone/never-asked-for", attention="flash_attention_2", dtype="float32")
    with pytest.raises(ModelError, match="Flash Attention 2 is not there.*pip install flash-attn"):
        check_model(spec)
    monkeypatch.setattr("transformers.utils.is_flash_attn_2_available", lambda: True)
    with pytest.raises(ModelError, match="does not compute in float32"):
        check_model(spec)


@pytest.mark.parametrize("quantisation", ["4bit", "8bit"])
def test_quantisation_without_its_package_or_a_gpu(monkeypatch: pytest.MonkeyPatch, quantisation: str) -> None:
    monkeypatch.setenv("RETRIEVAL_LENS_DEVICE", "cpu")
    spec = ModelSpec(name="someone/never-asked-for", quantisation=quantisation)
    monkeypatch.setattr("transformers.utils.is_bitsandbytes_available", lambda: False)
    with pytest.raises(ModelError, match="bitsandbytes is not installed"):
        check_model(spec)
    monkeypatch.setattr("transformers.utils.is_bitsandbytes_available", lambda: True)
    with pytest.raises(ModelError, match=f"need a CUDA GPU.*{quantisation}.* on cpu"):
        check_model(spec)


def test_what_from_pretrained_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRIEVAL_LENS_DEVICE", "cuda:1")
    assert loading_options(ModelSpec(name="x"), "float16") == {"dtype": torch.float16, "use_safetensors": True}
    four = loading_options(ModelSpec(name="x", quantisation="4bit"), "bfloat16")
    assert four["device_map"] == {"": "cuda:1"} and four["quantization_config"].load_in_4bit
    assert four["quantization_config"].bnb_4bit_compute_dtype == torch.bfloat16
    eight = loading_options(ModelSpec(name="x", quantisation="8bit", device_map="auto"), "bfloat16")
    assert eight["device_map"] == "auto" and eight["quantization_config"].load_in_8bit


def test_a_device_map_changes_no_embedding(llava_folder: Path, llava: Adapter, mixed: list[Item]) -> None:
    adapter = load_model(ModelSpec(name=str(llava_folder), device_map="auto"))
    found, expected = adapter.embed(mixed, [MEAN])[MEAN], llava.embed(mixed, [MEAN])[MEAN]
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


def test_layers_kept_outside_the_device_still_get_their_inputs(
    llava_folder: Path, llava: Adapter, mixed: list[Item]
) -> None:
    """accelerate's offloading leaves parameters on "meta"; inputs belong where the layers are computed."""
    from accelerate import cpu_offload

    adapter: Any = load_model(ModelSpec(name=str(llava_folder)))
    cpu_offload(adapter.model, execution_device=torch.device("cpu"))
    assert adapter.model.get_input_embeddings().weight.device.type == "meta"
    found, expected = adapter.embed(mixed, [MEAN])[MEAN], llava.embed(mixed, [MEAN])[MEAN]
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


def test_the_key_follows_what_changes_an_embedding(llava_folder: Path) -> None:
    spec = ModelSpec(name=str(llava_folder), dtype="float32")
    key = describe(spec).key
    assert describe(replace(spec, device_map="auto")).key == key
    others = [replace(spec, attention="eager"), replace(spec, quantisation="4bit"), replace(spec, quantisation="8bit")]
    assert len({key, *(describe(other).key for other in others)}) == 4


# Memory
# ------------------------------------------------------------------------------------------------------------------


def test_parameters_are_counted_from_the_files(llava_folder: Path, copy: Path) -> None:
    from safetensors.numpy import load_file

    expected = sum(array.size for array in load_file(llava_folder / "model.safetensors").values()) / 1e9
    assert stored_parameters(llava_folder) == pytest.approx(expected)
    (copy / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"a": "model.safetensors", "b": "gone.safetensors"}})
    )
    assert stored_parameters(copy) is None


def test_too_little_memory_says_how_much_and_what_would_fit(
    llava_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.models.memory.free_gib", lambda spread: 64.0 if spread else 16.0)
    facts = replace(describe(ModelSpec(name=str(llava_folder))), name="qwen2-vl-7b", dtype="bfloat16")
    with pytest.raises(
        ModelError, match=r'16\.0 GiB free.*18\.5 GiB or more.*"4bit" \(6\.9 GiB\).*device_map'
    ) as caught:
        check_memory(facts, 8.29, "none", spread=False)
    assert "\n" not in str(caught.value)
    check_memory(facts, 8.29, "none", spread=True)
    check_memory(facts, 8.29, "4bit", spread=False)
    check_memory(facts, None, "none", spread=False)


def test_memory_of_a_hub_model_comes_from_the_hub(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.list_repo_files", lambda *_, **__: ["config.json", "model.safetensors"])
    monkeypatch.setattr(
        "huggingface_hub.get_safetensors_metadata",
        lambda *_, **__: SimpleNamespace(parameter_count={"BF16": 9 * 10**12}),
    )
    with pytest.raises(ModelError, match="9000.00 billion parameters"):
        check_model(ModelSpec(name="someone/model"))
    monkeypatch.setattr("huggingface_hub.get_safetensors_metadata", raising(error("OfflineModeIsEnabled")))
    assert hub_parameters("someone/model", "main") is None
    assert check_model(ModelSpec(name="someone/model")).model_type == "llava"


# The hub
# -----------------------------------------------------------------------------------------------------------------


def raising(reason: Exception) -> Any:
    def call(*_: Any, **__: Any) -> None:
        raise reason

    return call


@pytest.fixture
def hub(llava_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's snapshot of `someone/model`: its config, no weights yet."""
    folder = tmp_path / "snapshots" / ("c" * 40)
    folder.mkdir(parents=True)
    shutil.copy(llava_folder / "config.json", folder)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", held_by(folder))
    return folder


def held_by(folder: Path, asked: list[str] | None = None) -> Any:
    """The hub's answer for a file of a snapshot; revisions of its config that were asked for are noted."""

    def download(_hub_id: str, name: str, revision: str, **_: Any) -> str:
        if name != "config.json":
            raise error("EntryNotFoundError")
        if asked is not None:
            asked.append(revision)
        return str(folder / name)

    return download


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("GatedRepoError", "gated; got someone/model; next: accept its terms.*hf auth login"),
        ("RepositoryNotFoundError", "no such repository.*hf auth login"),
        ("RevisionNotFoundError", "no such revision; got main"),
        ("LocalEntryNotFoundError", "HF_HUB_OFFLINE forbids fetching"),
        ("OfflineModeIsEnabled", "HF_HUB_OFFLINE forbids fetching"),
        ("EntryNotFoundError", "holds no config.json"),
        ("HfHubHTTPError", "the hub does not give someone/model: refused"),
    ],
)
def test_what_the_hub_refuses_is_one_line(monkeypatch: pytest.MonkeyPatch, name: str, line: str) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", raising(error(name)))
    with pytest.raises(ModelError, match=line) as caught:
        check_model(ModelSpec(name="someone/model"))
    assert "\n" not in str(caught.value)


def test_without_a_network_the_hub_is_asked_once_and_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub.errors import HTTPError

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", raising(HTTPError("Name or service not known")))
    monkeypatch.setattr("huggingface_hub.hf_hub_download", raising(AssertionError("fetched")))
    with pytest.raises(
        ModelError,
        match="the hub cannot be reached and the model is not in its cache; got someone/model; next: connect",
    ):
        check_model(ModelSpec(name="someone/model"))


def test_without_a_network_what_is_in_the_cache_is_used_without_asking_again(
    hub: Path, llava_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants
    from huggingface_hub.errors import HTTPError

    shutil.copy(llava_folder / "model.safetensors", hub)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    cached = {"config.json": str(hub / "config.json")}
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda _hub_id, name, **__: cached.get(name))
    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", raising(HTTPError("Name or service not known")))
    assert check_model(ModelSpec(name="someone/model")).revision == "c" * 40
    assert constants.HF_HUB_OFFLINE


def test_a_hub_model_without_safetensors_is_refused_before_it_is_fetched(
    hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["config.json", "pytorch_model-00001-of-00002.bin", "adapter_model.safetensors", "onnx/model.safetensors"]
    monkeypatch.setattr("huggingface_hub.list_repo_files", lambda *_, **__: names)
    with pytest.raises(
        ModelError, match="someone/model holds no safetensors weights; got pytorch_model-00001-of-00002.bin"
    ):
        check_model(ModelSpec(name="someone/model"))


def test_a_cached_config_without_its_weights_is_not_enough_offline(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.list_repo_files", raising(error("OfflineModeIsEnabled")))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="weights of someone/model are not in the hub's cache and HF_HUB_OFFLINE"):
        check_model(ModelSpec(name="someone/model"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", lambda *_, **__: None)
    monkeypatch.setattr("huggingface_hub.get_safetensors_metadata", raising(error("OfflineModeIsEnabled")))
    assert check_model(ModelSpec(name="someone/model")).revision == "c" * 40


def test_the_pinned_revision_is_what_is_asked_for(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("huggingface_hub.hf_hub_download", held_by(hub, asked))
    for spec in (ModelSpec(name="e5-v"), ModelSpec(name="e5-v", revision="main"), ModelSpec(name="qwen3-vl-8b")):
        describe(spec)
    assert asked == ["f9a1119d21a0b3b68c86f01a641a541989caa7a4", "main", "main"]


# What a checkpoint lacks
# -------------------------------------------------------------------------------------------------


def change_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_missing_weights_are_not_made_up(copy: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(copy / "model.safetensors")
    gone = next(name for name in tensors if "layers.1" in name and "q_proj" in name)
    save_file({k: v for k, v in tensors.items() if k != gone}, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="lacks weights, which would be random; got .*q_proj"):
        load_model(ModelSpec(name=str(copy)))


def test_architectures_nobody_reads_images_with(copy: Path) -> None:
    change_config(copy, model_type="bert")
    with pytest.raises(ModelError, match="no adapter for this architecture; got model_type 'bert'.*siglip"):
        describe(ModelSpec(name=str(copy)))
    change_config(copy, model_type="not-invented-yet")
    with pytest.raises(ModelError, match="transformers does not know this architecture.*pip install -U transformers"):
        describe(ModelSpec(name=str(copy)))


CODE = """
from transformers import LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor


class MadeConfig(LlavaConfig):
    model_type = "made-up"


class MadeModel(LlavaForConditionalGeneration):
    config_class = MadeConfig


class MadeProcessor(LlavaProcessor):
    made_up = True
"""


@pytest.fixture
def made_up(copy: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A checkpoint whose config, model and processor are classes of its own."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(copy / "model.safetensors")  # transformers renames the head of its own architectures only
    named = {name.replace("language_model.lm_head", "lm_head"): value for name, value in tensors.items()}
    save_file(named, copy / "model.safetensors", metadata={"format": "pt"})
    (copy / "made.py").write_text(CODE)
    classes = {"AutoConfig": "made.MadeConfig", "AutoModelForImageTextToText": "made.MadeModel"}
    change_config(copy, model_type="made-up", auto_map=classes, architectures=["MadeModel"])
    path = copy / "processor_config.json"
    config = json.loads(path.read_text()) | {
        "processor_class": "MadeProcessor",
        "auto_map": {"AutoProcessor": "made.MadeProcessor"},
    }
    path.write_text(json.dumps(config))
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    return copy


def test_code_of_a_repository_runs_only_where_it_was_named(made_up: Path, llava: Adapter, mixed: list[Item]) -> None:
    spec = ModelSpec(name=str(made_up))
    with pytest.raises(ModelError, match=f"needs code from its own repository.*--trust-remote-code {made_up}"):
        describe(spec)
    with trusting("someone/else"), pytest.raises(ModelError, match="needs code"):
        describe(spec)
    with trusting(trusted_source(spec, str(made_up))):
        adapter: Any = load_model(spec)
    assert type(adapter.model).__name__ == "MadeModel" and adapter.processor.made_up
    found, expected = adapter.embed(mixed, [MEAN])[MEAN], llava.embed(mixed, [MEAN])[MEAN]
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()
    with pytest.raises(ModelError, match="needs code"):
        describe(spec)


def test_only_the_model_of_the_spec_can_be_trusted() -> None:
    assert trusted_source(ModelSpec(name="qwen2-vl-7b"), "Qwen/Qwen2-VL-7B-Instruct") == "Qwen/Qwen2-VL-7B-Instruct"
    for spec, name in (
        ("qwen2-vl-7b", "qwen2-vl-7b"),
        ("a/model", "a/model-2"),
        ("a/model", "A/model"),
        ("demo-mllm", "demo-mllm"),
    ):
        with pytest.raises(ModelError, match="this is not the model of the spec"):
            trusted_source(ModelSpec(name=spec), name)
    assert not is_trusted("a/model")
