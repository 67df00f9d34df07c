"""Specs: what is refused and how it is said, paths, one canonical form."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.config import CorpusSpec, ModelSpec, RunSpec, load_spec, parse_spec, stored_spec
from core.errors import SpecError
from core.fingerprint import canonical

SMALL = {"corpus": {"source": "demo"}, "model": {"name": "demo-mllm"}}


def with_key(section: str, key: str, value: Any) -> dict[str, Any]:
    return {**SMALL, section: {**SMALL.get(section, {}), key: value}}


@pytest.mark.parametrize("raw", [{**SMALL, "trust_remote_code": True}, with_key("model", "trust_remote_code", False)])
def test_code_of_a_repository_is_no_matter_of_a_spec(raw: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="cannot allow the code.*--trust-remote-code"):
        parse_spec(raw)


def test_everything_but_corpus_and_model_has_a_default() -> None:
    spec = parse_spec(SMALL)
    assert spec == RunSpec(corpus=CorpusSpec(source="demo"), model=ModelSpec(name="demo-mllm"))
    assert (spec.corpus.task, spec.embedding.layers, spec.embedding.poolings, spec.embedding.masks) == (
        4,
        (-1,),
        (),
        ("all",),
    )
    assert (spec.sae.width, spec.sae.k, spec.whitening.beta, spec.whitening.eps) == (None, 50, 0.1, 1e-5)
    assert spec.whitening.statistics == "per-side" and spec.corpus.max_bad_share == 0.05


def test_canonical_form_survives_json() -> None:
    spec = replace(parse_spec(with_key("embedding", "layers", [0, -1])), variants={"mine": "center"}, name="n")
    spec = replace(
        spec, model=replace(spec.model, attention="sdpa", device_map="auto", quantisation="8bit", preset="own")
    )
    assert parse_spec(json.loads(canonical(spec.canonical()))) == spec


@pytest.mark.parametrize(
    ("raw", "nearest"),
    [
        ({**SMALL, "whitenning": {}}, "'whitening' (nearest)"),
        (with_key("embedding", "layer", [1]), "'layers' (nearest)"),
        (with_key("corpus", "tasks", 4), "'task' (nearest)"),
        (with_key("sae", "widht", 4), "'width' (nearest)"),
        (with_key("corpus", "source", "mbeirs"), "'mbeir' (nearest)"),
        (with_key("embedding", "poolings", ["means"]), "'mean' (nearest)"),
        (with_key("whitening", "statistics", "perside"), "'per-side' (nearest)"),
        (with_key("model", "preset", "lamrra"), "'lamra' (nearest)"),
        (with_key("model", "dtype", "bfloat"), "'bfloat16' (nearest)"),
        (with_key("model", "attention", "flash_attention"), "'flash_attention_2' (nearest)"),
        (with_key("model", "quantisation", "4bits"), "'4bit' (nearest)"),
        (with_key("model", "device_map", "balance"), "'balanced' (nearest)"),
    ],
)
def test_the_unknown_is_refused_with_the_nearest_known(raw: dict[str, Any], nearest: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec(raw)
    assert f"allowed: {nearest}" in str(caught.value)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("corpus", "limit", 1.5),
        ("corpus", "limit", 0),
        ("corpus", "limit", True),
        ("corpus", "path", 5),
        ("corpus", "task", 9),
        ("corpus", "task", 2.5),
        ("corpus", "max_bad_share", 1.1),
        ("corpus", "max_bad_share", float("nan")),
        ("model", "revision", 3),
        ("model", "dtype", 3),
        ("model", "dtype", "float64"),
        ("model", "attention", "none"),
        ("model", "device_map", True),
        ("embedding", "layers", -1),
        ("embedding", "layers", ["a"]),
        ("embedding", "layers", [1.5]),
        ("embedding", "layers", []),
        ("embedding", "batch_tokens", 0),
        ("sae", "k", 0),
        ("sae", "k", 40_000),
        ("sae", "seed", "x"),
        ("whitening", "beta", "0.1"),
        ("whitening", "beta", True),
        ("whitening", "eps", -1),
    ],
)
def test_wrong_types_and_ranges_name_the_key(section: str, key: str, value: Any) -> None:
    with pytest.raises(SpecError, match=f"{section}.{key}"):
        parse_spec(with_key(section, key, value))


@pytest.mark.parametrize("raw", [{}, {"corpus": {"source": "demo"}}, {**SMALL, "corpus": "demo"}, {**SMALL, "sae": 3}])
def test_missing_or_misshapen_sections(raw: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=r"\[(corpus|model|sae)\]"):
        parse_spec(raw)


@pytest.mark.parametrize("extra", [{"name": 5}, {"variants": "x"}, {"variants": {"a": 3}}])
def test_names_and_variants_are_words(extra: dict[str, Any]) -> None:
    with pytest.raises(SpecError):
        parse_spec({**SMALL, **extra})


def test_whole_numbers_where_fractions_are_asked_for() -> None:
    beta = parse_spec(with_key("whitening", "beta", 1)).whitening.beta
    assert beta == 1.0 and isinstance(beta, float)


def test_required_keys() -> None:
    with pytest.raises(SpecError, match=r"\[model\] lacks 'name'"):
        parse_spec({**SMALL, "model": {}})
    with pytest.raises(SpecError, match="needs a path"):
        parse_spec({**SMALL, "corpus": {"source": "folder"}})


def test_a_file_and_the_paths_in_it(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    path = tmp_path / "run.toml"
    path.write_text('name = "mine"\n[corpus]\nsource = "folder"\npath = "photos"\n[model]\nname = "model"\n')
    spec = load_spec(path)
    assert spec.corpus.path == str(tmp_path / "photos") and spec.model.name == str(tmp_path / "model")
    (tmp_path / "sae.pt").write_bytes(b"")
    path.write_text(path.read_text() + '[sae]\nsource = "sae.pt"\n')
    assert load_spec(path).sae.source == str(tmp_path / "sae.pt")
    path.write_text(
        '[corpus]\nsource = "mbeir"\npath = "mbeir:mscoco_task4"\n[model]\nname = "Qwen/Qwen2-VL-7B-Instruct"\n'
    )
    spec = load_spec(path)
    assert spec.corpus.path == "mbeir:mscoco_task4" and spec.model.name == "Qwen/Qwen2-VL-7B-Instruct"


@pytest.mark.parametrize("content", [b"name = ", b"\xff\xfe", b"[corpus\n"])
def test_files_that_are_no_toml(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_bytes(content)
    with pytest.raises(SpecError, match="is not TOML"):
        load_spec(tmp_path / "run.toml")
    with pytest.raises(SpecError, match="no such spec file"):
        load_spec(tmp_path / "gone.toml")


def test_run_names() -> None:
    assert parse_spec({**SMALL, "name": "mine"}).run_name == "mine"
    assert parse_spec(SMALL).run_name == "demo-mllm-demo-task4"
    folder = {"source": "folder", "path": "/data/Photos", "task": 1}
    assert parse_spec({"corpus": folder, "model": {"name": "org/Model-7B"}}).run_name == "model-7b-photos-task1"


def test_a_name_of_an_older_release_is_made_to_fit() -> None:
    assert stored_spec({**SMALL, "name": "my run, again!"}).name == "my-run-again"
    assert stored_spec({**SMALL, "name": "mine"}) == parse_spec({**SMALL, "name": "mine"})
    with pytest.raises(SpecError, match="cannot be the name of a run"):
        parse_spec({**SMALL, "name": "my run, again!"})


def test_names_derived_from_long_folders_keep_model_and_task() -> None:
    folder = {"source": "folder", "path": f"/data/{'p' * 200} & more", "task": 1}
    name = parse_spec({"corpus": folder, "model": {"name": f"org/{'m' * 90}"}}).run_name
    assert name == f"{'m' * 36}-{'p' * 36}-task1"


def test_every_preset_is_a_spec_of_a_known_model() -> None:
    from core.config import PRESETS, load_spec
    from core.models import KNOWN

    presets = sorted(PRESETS.glob("*.toml"))
    assert len(presets) >= 6
    for preset in presets:
        spec = load_spec(preset.name)
        assert spec.model.name in KNOWN and spec.name == preset.stem, preset.name
