"""The table of known models: what each row says, and the memory it comes to."""

from __future__ import annotations

import pytest

from core.config import PRESETS, EmbeddingSpec, load_spec
from core.models import KNOWN, ModelFacts, known_models
from core.models.memory import memory_gib
from core.models.prompts import STYLES, resolve_style
from core.models.table import find
from core.models.views import resolve_views

STUDY = {
    "Qwen/Qwen2-VL-7B-Instruct", "Qwen/Qwen3-VL-8B-Instruct", "google/paligemma2-3b-mix-224", "facebook/chameleon-7b",
    "openai/clip-vit-base-patch32", "google/siglip2-base-patch16-512",
}  # fmt: skip
ZERO_SHOT = {"hierarchical", "freeret"}
RETRIEVERS = {
    "qwen3-vl-embedding-2b": "qwen3-vl-embedding",
    "qwen3-vl-embedding-8b": "qwen3-vl-embedding",
    "vlm2vec-v2": "vlm2vec",
    "gme-qwen2-vl-2b": "gme",
    "gme-qwen2-vl-7b": "gme",
    "vlm2vec-qwen2-vl-7b": "vlm2vec",
    "e5-v": "e5-v",
    "lamra-ret": "lamra",
}


def test_every_model_of_the_study_has_a_row_and_a_spec_file() -> None:
    assert {row["hub_id"] for row in known_models()} >= STUDY
    named = {load_spec(path.name).model.name for path in PRESETS.glob("*.toml")}
    assert named >= {row.name for row in KNOWN.values() if row.hub_id}


def test_spec_files_ask_for_the_prompts_and_pooling_of_their_row() -> None:
    for path in PRESETS.glob("*.toml"):
        spec = load_spec(path.name)
        row = KNOWN[spec.model.name]
        if row.kind not in {"dual", "sentence-transformers"} and row.hub_id:
            first, *beside = spec.embedding.poolings
            assert spec.model.preset == resolve_style("auto", row.prompts, row.name), path.name
            # The run's own embedding is the row's; a file that asks where the model answers says so in its name.
            assert first == row.pooling and (not beside or path.name.endswith("-answer.toml")), path.name


def test_rows_are_found_by_name_and_by_hub_id() -> None:
    for row in KNOWN.values():
        assert find(row.name) is row
        assert not row.hub_id or find(row.hub_id) is row
    assert find("") is None and find("someone/else") is None


def test_a_pinned_revision_is_a_whole_commit() -> None:
    for row in KNOWN.values():
        assert row.revision is None or (len(row.revision) == 40 and set(row.revision) <= set("0123456789abcdef")), (
            row.name
        )


def test_retrievers_default_to_their_own_prompts_and_the_last_token() -> None:
    for name, style in RETRIEVERS.items():
        row = KNOWN[name]
        assert resolve_style("auto", row.prompts, name) == resolve_style("own", row.prompts, name) == style
        assert row.pooling == "last" and "fine-tuned retriever" in row.special
        assert resolve_style("study", row.prompts, name) == "study"


def test_all_other_models_default_to_the_study() -> None:
    for row in KNOWN.values():
        if row.name not in RETRIEVERS:
            final = row.kind in {"dual", "sentence-transformers"}
            assert row.prompts == ("none" if final else "study"), row.name
            assert row.pooling == ("projected" if final else "mean"), row.name


@pytest.mark.parametrize("style", STYLES)
def test_the_pooling_left_out_is_that_of_the_prompts(style: str) -> None:
    facts = ModelFacts("m", "chat", "k", "m", "", "llava", 8, 4, "float32", style, STYLES[style].pooling)
    expected = "last" if style in {*RETRIEVERS.values(), *ZERO_SHOT} else "mean"
    assert [view.pooling for view in resolve_views(EmbeddingSpec(), facts)] == [expected]
    assert [view.pooling for view in resolve_views(EmbeddingSpec(poolings=("max",)), facts)] == ["max"]


def test_memory_by_hand() -> None:
    """One billion parameters in float32: 4e9 bytes, a fifth on top, 2 ** 30 bytes to the GiB."""
    assert memory_gib(1, "float32") == pytest.approx(4.4703, abs=1e-4)
    assert memory_gib(1, "bfloat16") == memory_gib(1, "float16") == pytest.approx(2.2352, abs=1e-4)
    assert memory_gib(1, "bfloat16", "8bit") == pytest.approx((0.125 * 2 + 0.875) * 1.2e9 / 2**30)
    assert memory_gib(1, "bfloat16", "4bit") == pytest.approx((0.125 * 2 + 0.875 * 0.5625) * 1.2e9 / 2**30)


def test_the_parameters_of_the_shipped_models_are_those_of_their_files() -> None:
    from core.models.memory import stored_parameters

    for name in ("demo-mllm", "demo-mllm-captioner", "demo-clip"):
        row = KNOWN[name]
        assert row.folder is not None
        assert stored_parameters(row.folder) == pytest.approx(row.parameters, rel=0.02)


def test_plain_mappings_hold_what_the_command_shows() -> None:
    row = next(row for row in known_models() if row["name"] == "qwen2-vl-7b")
    needs = row["memory_gib"]
    assert isinstance(needs, dict) and needs["float32"] > needs["bfloat16"] > needs["8bit"] > needs["4bit"]
    assert needs["bfloat16"] == pytest.approx(8.29 * 2 * 1.2 * 1e9 / 2**30, abs=0.05)
    keys = {"hub_id", "revision", "hidden_size", "dtype", "parameters", "prompts", "pooling", "special"}
    assert keys <= row.keys()
