"""`models`, and what `run` says about a model before anything is read or fetched."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

import core
from core.commands.cli import app
from core.config import PRESETS
from core.models import KNOWN
from core.store import Store


def cli(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def refused(result: Result) -> str:
    """The one line of a refusal."""
    assert result.exit_code == 1, result.output
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("retrieval-lens: ")]
    return line


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("RETRIEVAL_LENS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return Store(tmp_path / "cache")


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """Four captioned pictures and a folder as the model."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for n in range(4):
        Image.new("RGB", (32, 32), (60 * n, 40, 200)).save(folder / f"{n}.png")
        (folder / f"{n}.txt").write_text(f"picture number {n}")
    path = tmp_path / "mine.toml"
    model = KNOWN["demo-clip"].folder
    path.write_text(
        f'name = "mine"\n[corpus]\nsource = "folder"\npath = "photos"\n[model]\nname = "{model}"\n[sae]\nsource ='
        ' "none"\n'
    )
    return path


def test_models_shows_every_row() -> None:
    shown = cli("models")
    assert shown.exit_code == 0
    for row in KNOWN.values():
        assert row.name in shown.stdout and row.special in shown.stdout
    listed = json.loads(cli("models", "--json").stdout)["models"]
    assert [row["name"] for row in listed] == list(KNOWN)
    assert next(row for row in listed if row["name"] == "e5-v")["revision"] == KNOWN["e5-v"].revision


@pytest.mark.parametrize(
    "preset", sorted(path.name for path in PRESETS.glob("*.toml") if not path.name.startswith("demo-"))
)
def test_a_preset_without_network_ends_in_one_line(store: Store, preset: str) -> None:
    line = refused(cli("run", preset))
    assert "cannot be reached" in line and "hf download" in line
    assert not list(store.all_folders())


def test_an_unknown_preset_names_the_nearest(store: Store) -> None:
    assert "'qwen2-vl-7b-mscoco.toml' (nearest)" in refused(cli("run", "qwen2-vl-7b-msoco.toml"))


@pytest.mark.parametrize("section", ["[model]", ""])
def test_a_spec_file_cannot_trust_code(store: Store, spec: Path, section: str) -> None:
    text = spec.read_text()
    spec.write_text(
        text.replace("[model]\n", "[model]\ntrust_remote_code = true\n")
        if section
        else f"trust_remote_code = true\n{text}"
    )
    line = refused(cli("run", spec))
    assert "a spec file cannot allow" in line and "--trust-remote-code OWNER/NAME" in line


def test_trust_is_for_the_model_of_the_spec_and_is_said(store: Store, spec: Path) -> None:
    assert "not the model of the spec" in refused(cli("run", spec, "--trust-remote-code", "someone/else"))
    folder = KNOWN["demo-clip"].folder
    allowed = cli("run", spec, "--trust-remote-code", folder)
    assert allowed.exit_code == 0, allowed.output
    assert f"warning: code of {folder} will run" in allowed.stderr


def test_too_little_memory_is_said_before_the_corpus_is_read(
    store: Store, spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as small:
        small.setattr("core.models.memory.free_gib", lambda spread: 1e-6)
        assert "does not fit into memory" in refused(cli("run", spec))
        assert not list(store.all_folders())
    assert cli("run", spec).exit_code == 0
    monkeypatch.setattr("core.models.memory.free_gib", lambda spread: 1e-6)
    assert cli("run", spec).exit_code == 0  # its embeddings are there: no model is needed


@pytest.mark.parametrize(
    ("lost", "more", "line"),
    [
        ("processor_config.json", "", "cannot be loaded; got .*image processor"),
        ("chat_template.jinja", "", "has no chat template"),
        ("", "layers = [99]", "has no such layer"),
    ],
)
def test_what_a_model_lacks_is_said_before_the_corpus_is_read(
    store: Store, spec: Path, tmp_path: Path, lost: str, more: str, line: str
) -> None:
    folder = Path(shutil.copytree(KNOWN["demo-mllm"].folder, tmp_path / "model"))
    if lost:
        (folder / lost).unlink()
    text = spec.read_text().replace(str(KNOWN["demo-clip"].folder), str(folder))
    spec.write_text(text.replace("[sae]", f"[embedding]\n{more}\n[sae]"))
    assert re.search(line, refused(cli("run", spec)))
    assert not list(store.all_folders())


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("[sae]", '[variants]\nmine = "realing(beta=0.1)"\n[sae]', "'realign'.*nearest"),
        ("[sae]", 'revision = "v2"\n[sae]', "weights in a folder have no revisions; got model.revision = 'v2'"),
    ],
)
def test_what_a_spec_has_wrong_is_said_before_the_corpus_is_read(
    store: Store, spec: Path, old: str, new: str, line: str
) -> None:
    spec.write_text(spec.read_text().replace(old, new))
    assert re.search(line, refused(cli("run", spec)))
    assert not list(store.all_folders())


def test_a_mask_that_leaves_nothing_is_said_before_anything_is_encoded(store: Store, spec: Path) -> None:
    text = spec.read_text().replace(str(KNOWN["demo-clip"].folder), "demo-mllm")
    text = text.replace('path = "photos"', 'path = "photos"\ntask = 1')  # texts ask: they would be encoded first
    spec.write_text(text.replace("[sae]", '[embedding]\nmasks = ["all", "text"]\n[sae]'))
    assert "mask 'text' leaves no token of item '0.png'" in refused(cli("run", spec))
    assert [folder.path.parent.name for folder in store.all_folders()] == ["corpus"]


def test_doctor_says_what_models_have_to_live_with(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.models.device.free_gib", lambda spread=False: 8.0)
    monkeypatch.setenv("RETRIEVAL_LENS_DEVICE", "cpu")
    checks = {row["check"]: row for row in json.loads(cli("doctor", "--json").stdout)["checks"]}
    fitting = sum(row.parameters * 4 * 1.2e9 / 2**30 <= 8 for row in KNOWN.values())
    assert f"{fitting} of {len(KNOWN)} known models fit the device in float32" in checks["memory"]["found"]
    assert "HF_HUB_OFFLINE" in checks["hub"]["found"]
    assert {"flash-attn", "bitsandbytes"} <= checks.keys() and checks["bitsandbytes"]["ok"]


def test_doctor_sees_the_shipped_weights_where_they_are(store: Store) -> None:
    """Independent of the table of models: the files of this checkout."""
    weights = Path(core.__file__).parent / "demo" / "weights"
    checks = {row["check"]: row for row in json.loads(cli("doctor", "--json").stdout)["checks"]}
    for name in ("demo-mllm", "demo-clip"):
        size = sum(file.stat().st_size for file in (weights / name).glob("*.safetensors"))
        assert size and checks[name]["ok"]
        assert checks[name]["found"] == f"{size / 2**20:.1f} MiB"
