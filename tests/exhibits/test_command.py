"""`retrieval-lens exhibit` on a run of own embeddings: hand-worked numbers, reasons for what does not apply, mistakes
in one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from core.commands.cli import app
from core.exhibits import EXHIBITS


def cli(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A run named "own": 6 queries, 12 candidates in 3 dimensions, candidate n answers query n; queries 0-3 find it
    first."""
    monkeypatch.setenv("RETRIEVAL_LENS_CACHE", str(tmp_path / "cache"))
    rng, folder = np.random.default_rng(0), tmp_path / "vectors"
    folder.mkdir()
    queries = np.eye(3)[[0, 1, 2, 0, 1, 2]] + rng.normal(scale=0.05, size=(6, 3))
    candidates = np.vstack([queries, rng.normal(scale=0.2, size=(6, 3))])
    candidates[4:6] = -queries[4:6]  # the answers of queries 4 and 5 point away
    np.save(folder / "queries.npy", queries.astype(np.float32))
    np.save(folder / "candidates.npy", candidates.astype(np.float32))
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(f"{n}\t{n}\t1\n" for n in range(6)))
    spec = tmp_path / "own.toml"
    spec.write_text(f'name = "own"\n[corpus]\nsource = "embeddings"\npath = "{folder}"\n[sae]\nsource = "none"\n')
    done = cli("run", spec)
    assert done.exit_code == 0, done.output
    return "own"


def shown(*words: str) -> dict:
    done = cli("exhibit", *words, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_recall_of_own_embeddings_by_hand(own: str) -> None:
    told = shown("table-3", own, "--option", "metric=recall@1")
    raw = next(row for row in told["rows"] if row["variant"] == "none")
    assert raw["recall@1"] == pytest.approx(4 / 6)
    assert (raw["kind"], raw["queries"], raw["candidates"]) == ("unknown", 6, 12)
    assert raw["gain"] is None


@pytest.mark.parametrize("name", [name for name, exhibit in EXHIBITS.items() if exhibit.group == "study"])
def test_every_exhibit_shows_or_says_what_is_missing(name: str, own: str) -> None:
    done = cli("exhibit", name, own, "--json")
    if done.exit_code == 0:
        assert json.loads(done.stdout)["rows"]
        return
    assert done.exit_code == 1, done.output
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("retrieval-lens: ")]
    assert "next: " in line
    assert ("no SAE" in line) or ("own embeddings" in line)
    assert "Traceback" not in done.output


def test_what_needs_an_sae_or_views_is_left_out(own: str) -> None:
    for name in ("figure-2", "figure-3", "table-1", "table-2"):
        assert 'source = "train"' in cli("exhibit", name, own).stderr
    for name in ("figure-4", "figure-5", "table-5"):
        assert "own embeddings" in cli("exhibit", name, own).stderr


@pytest.mark.parametrize(
    ("option", "part"),
    [("metrc=recall@1", "'metric' (nearest)"), ("metric=recall@2", "'recall@1'"), ("metric", "NAME=VALUE")],
)
def test_options_that_cannot_be_are_one_line(own: str, option: str, part: str) -> None:
    done = cli("exhibit", "table-3", own, "--option", option)
    assert done.exit_code == 1
    assert part in done.stderr
    assert done.stdout == ""


def test_the_text_has_claim_verdict_and_intervals_in_cells(own: str) -> None:
    out = cli("exhibit", "table-3", own).stdout
    assert out.startswith("Table 3: ReAlign raises recall on every task.\n")
    assert "minus raw" in out
    assert "[" in out.splitlines()[-3]
