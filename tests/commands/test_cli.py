"""The command line as a user meets it: exit codes, one clear line per mistake, pure JSON, a whole run on a folder of
images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from core.commands.cli import app
from core.store import Store

COLOURS = {
    "red": (220, 30, 30),
    "green": (30, 200, 30),
    "blue": (30, 30, 220),
    "yellow": (230, 220, 40),
    "white": (250, 250, 250),
}


def cli(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def one_line(result: Result, code: int) -> str:
    assert result.exit_code == code, result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("retrieval-lens: ")]
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.output
    return lines[0]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("RETRIEVAL_LENS_CACHE", str(tmp_path / "cache"))
    return Store(tmp_path / "cache")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Ten plain pictures with two captions each."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rows = []
    for i, (name, colour) in enumerate([*COLOURS.items()] * 2):
        Image.new("RGB", (40 + i, 30), colour).save(folder / f"{i}.png")
        rows.append({"file": f"{i}.png", "captions": [f"a {name} picture number {i}", f"picture {i}, all {name}"]})
    (folder / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def spec_file(folder: Path, photos: Path, sae: str = 'source = "none"') -> Path:
    path = folder / "mine.toml"
    path.write_text(
        f'name = "mine"\n[corpus]\nsource = "folder"\npath = "{photos.name}"\n[model]\nname ='
        f' "demo-clip"\n[sae]\n{sae}\n[variants]\nkept = "center"\n'
    )
    return path


def test_run_evaluate_show_export_verify_remove(tmp_path: Path, photos: Path, store: Store) -> None:
    spec = spec_file(tmp_path, photos)
    assert cli("run", spec).exit_code == 0
    made = json.loads(cli("run", spec, "--json").stdout)
    assert made["run"] == "mine" and made["parts"] == {"queries": 10, "candidates": 20}
    payload = json.loads(cli("evaluate", "mine", "--json").stdout)
    assert set(payload) >= {
        "run",
        "transform",
        "beta",
        "eps",
        "queries",
        "queries_without_relevant",
        "candidates",
        "recall",
        "mrr",
        "ci95",
    }
    assert (
        payload["beta"] is None
        and set(payload["recall"]) == {"1", "5", "10"}
        and payload["queries_without_relevant"] == 0
    )
    assert json.loads(cli("evaluate", made["key"][:6], "--variant", "kept", "--json").stdout)["variant"] == "center"
    assert [r["name"] for r in json.loads(cli("runs", "--json").stdout)["runs"]] == ["mine"]
    assert json.loads(cli("show", "mine", "--json").stdout)["folders"]
    assert cli("export", "mine", "--out", tmp_path / "out").exit_code == 0
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "queries.parquet",
        "candidates.parquet",
        "qrels.parquet",
        "queries.npy",
        "candidates.npy",
        "whitening.safetensors",
        "manifest.json",
    }
    assert list(pd.read_parquet(tmp_path / "out" / "queries.parquet").columns) == ["id", "modality", "text"]
    assert cli("verify", "mine").exit_code == 0
    assert "RUN, or --unfinished" in one_line(cli("remove"), 1) and "both" in one_line(
        cli("remove", "mine", "--unfinished"), 1
    )
    assert cli("remove", "--unfinished").stdout == "freed 0.0 MiB\n"
    assert cli("remove", "mine").exit_code == 0
    assert json.loads(cli("runs", "--json").stdout)["runs"] == [] and not list(store.all_folders())


def test_verify_finds_a_changed_byte(tmp_path: Path, photos: Path, store: Store) -> None:
    assert cli("run", spec_file(tmp_path, photos)).exit_code == 0
    victim = next(f for f in store.folders("encode")).path
    array = next(victim.glob("layer*.npy"))
    content = bytearray(array.read_bytes())
    content[-1] ^= 1
    array.write_bytes(content)
    result = cli("verify", "mine")
    assert (
        array.name in result.stdout
        and "`retrieval-lens verify --repair`, then `retrieval-lens run mine`" in one_line(result, 1)
    )


def test_second_run_computes_nothing(tmp_path: Path, photos: Path, store: Store) -> None:
    spec = spec_file(tmp_path, photos)
    assert cli("run", spec).exit_code == 0
    before = {p: p.stat().st_mtime_ns for p in store.root.rglob("*.npy")}
    assert before
    assert cli("run", spec).exit_code == 0
    assert {p: p.stat().st_mtime_ns for p in store.root.rglob("*.npy")} == before


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("evaluate", "nowhere"), ("no such run", "'nowhere'", "retrieval-lens demo")),
        (("run", "missing.toml"), ("no such spec file", "missing.toml")),
        (("corpus", "/no/such/folder"), ("/no/such/folder",)),
        (("exhibit", "tabel-1", "x"), ("no such run",)),
    ],
)
def test_mistakes_are_one_line(words: tuple[str, ...], parts: tuple[str, ...], store: Store) -> None:
    line = one_line(cli(*words), 1)
    for part in parts:
        assert part in line


def test_an_export_is_a_corpus_of_own_embeddings(tmp_path: Path, photos: Path, store: Store) -> None:
    assert cli("run", spec_file(tmp_path, photos)).exit_code == 0
    assert cli("export", "mine", "--out", tmp_path / "out").exit_code == 0
    spec = tmp_path / "own.toml"
    spec.write_text('name = "own"\n[corpus]\nsource = "embeddings"\npath = "out"\n[sae]\nsource = "none"\n')
    assert cli("run", spec).exit_code == 0
    for words in ((), ("--transform", "realign")):
        mine, own = (json.loads(cli("evaluate", name, *words, "--json").stdout) for name in ("mine", "own"))
        assert {k: v for k, v in own.items() if k != "run"} == {k: v for k, v in mine.items() if k != "run"}


def test_unknown_key_names_the_nearest(tmp_path: Path, store: Store) -> None:
    spec = tmp_path / "x.toml"
    spec.write_text('[corpus]\nsource = "demo"\n[model]\nname = "demo-clip"\n[embedding]\nlayer = [1]\n')
    assert "'layers' (nearest)" in one_line(cli("run", spec), 1)


def test_unknown_model_is_named_before_anything_is_computed(tmp_path: Path, photos: Path, store: Store) -> None:
    spec = spec_file(tmp_path, photos)
    spec.write_text(spec.read_text().replace("demo-clip", "demo-clop"))
    assert "demo-clip" in one_line(cli("run", spec), 1)
    assert not store.folders("encode")


def test_usage_errors_exit_2(store: Store) -> None:
    assert cli("evaluate", "x", "--beta", "much").exit_code == 2
    assert cli("no-such-command").exit_code == 2


def test_options_that_exclude_each_other(tmp_path: Path, photos: Path, store: Store) -> None:
    assert cli("run", spec_file(tmp_path, photos)).exit_code == 0
    assert "--beta does nothing" in one_line(cli("evaluate", "mine", "--beta", "0.5"), 1)
    assert "shared" in one_line(cli("evaluate", "mine", "--transform", "pca", "--statistics", "per-side"), 1)
    assert "SAE" in one_line(cli("concepts", "mine"), 1)
    assert "allowed" in one_line(cli("evaluate", "mine", "--transform", "realign", "--beta", "1.5"), 1)


def test_whitening_of_the_export_applies_with_five_lines_of_numpy(tmp_path: Path, photos: Path, store: Store) -> None:
    """README's snippet, on a run without SAE: the exported record equals what the evaluator used."""
    from safetensors.numpy import load_file

    from core.questions.answers import transformed
    from core.run import open_run

    assert cli("run", spec_file(tmp_path, photos)).exit_code == 0
    assert cli("export", "mine", "--out", tmp_path / "out").exit_code == 0
    w = load_file(tmp_path / "out" / "whitening.safetensors")
    x = np.load(tmp_path / "out" / "queries.npy")
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    y = (x - w["query.mean"]) @ w["query.matrix"]
    y = y / np.linalg.norm(y, axis=1, keepdims=True)
    np.testing.assert_allclose(y, transformed(open_run("mine", store), "realign", "queries"), atol=2e-3)


def test_corpus_reports_bad_rows_and_refuses_too_many(photos: Path, store: Store) -> None:
    (photos / "3.png").write_bytes(b"")
    report = cli("corpus", photos, "--max-bad-share", "0.2", "--json")
    assert report.exit_code == 0
    found = json.loads(report.stdout)
    assert found["usable"] and any("3.png" in bad["where"] for bad in found["bad"])
    refused = cli("corpus", photos, "--max-bad-share", "0.01", "--json")
    assert refused.exit_code == 1 and not json.loads(refused.stdout)["usable"]


def test_every_command_has_help() -> None:
    from typer.main import get_command

    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        assert command.help, name
        assert cli(name, "--help").exit_code == 0
