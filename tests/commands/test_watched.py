"""A run in a process of its own: its status, its end, and that a cancelled one goes on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from core.commands import watched
from core.config import CorpusSpec, ModelSpec, RunSpec, SaeSpec
from core.config.model import OWN_MODEL
from core.planning import unfinished
from core.store import Store

PATIENCE = 120.0
"""Seconds to wait for a process; a busy machine is no failure."""
LONG = SaeSpec(source="train", width=64, k=4, batch=64, steps=10**7)
SHORT = SaeSpec(source="none")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("RETRIEVAL_LENS_CACHE", str(tmp_path / "cache"))
    yield Store(tmp_path / "cache")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    root = tmp_path / "own"
    root.mkdir()
    rng = np.random.default_rng(0)
    for part in ("queries", "candidates"):
        np.save(root / f"{part}.npy", rng.standard_normal((32, 8)).astype(np.float32))
    (root / "qrels.csv").write_text("query-id,corpus-id,score\n" + "".join(f"{n},{n},1\n" for n in range(32)))
    return root


def spec(own: Path, sae: SaeSpec) -> RunSpec:
    corpus = CorpusSpec(source="embeddings", path=str(own))
    return RunSpec(name="mine", corpus=corpus, model=ModelSpec(name=OWN_MODEL), sae=sae)


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)


def test_a_run_ends_with_its_name_and_its_spec_is_forgotten(own: Path, store: Store, tmp_path: Path) -> None:
    status = tmp_path / "status.json"
    process = watched.start(unfinished.keep(spec(own, SHORT), store), status)
    assert process.wait(PATIENCE) == 0
    assert watched.read_status(status).run == "mine"
    assert [folder.facts["name"] for folder in store.folders("run")] == ["mine"]
    assert unfinished.kept(store) == {}


def test_what_goes_wrong_is_told_in_four_parts(own: Path, store: Store, tmp_path: Path) -> None:
    status = tmp_path / "status.json"
    kept = unfinished.keep(spec(own, SHORT), store)
    (own / "candidates.npy").unlink()
    assert watched.start(kept, status).wait(PATIENCE) == 1
    what, got, allowed, _ = watched.read_status(status).error
    assert what == "no embeddings of the candidates" and got == str(own) and ".npy" in str(allowed)
    assert list(unfinished.kept(store)) == ["mine"], "it can go on once the folder is mended"


def test_a_cancelled_run_goes_on_from_what_is_finished(own: Path, store: Store, tmp_path: Path) -> None:
    status = tmp_path / "status.json"
    process = watched.start(unfinished.keep(spec(own, LONG), store), status)
    wait_until(lambda: watched.read_status(status).done > 0 and "train SAE" in watched.read_status(status).doing)
    assert watched.read_status(status).total == LONG.steps
    watched.cancel(process)
    assert process.wait(PATIENCE) == watched.INTERRUPTED
    encoded = {folder.key: folder.manifest["created"] for folder in store.folders("encode")}
    assert len(encoded) == 2 and store.folders("run") == []
    assert unfinished.kept(store)["mine"].sae == LONG
    again = watched.start(unfinished.keep(spec(own, SHORT), store), status)
    assert again.wait(PATIENCE) == 0
    assert {folder.key: folder.manifest["created"] for folder in store.folders("encode")} == encoded


def test_a_run_ends_with_the_process_that_started_it(own: Path, store: Store, tmp_path: Path) -> None:
    kept, status = unfinished.keep(spec(own, LONG), store), tmp_path / "status.json"
    code = (
        "import sys, time; from pathlib import Path; from core.commands import watched\n"
        "spec, status = map(Path, sys.argv[1:])\n"
        "print(watched.start(spec, status).pid, flush=True)\n"
        "while not watched.read_status(status).done: time.sleep(0.1)"
    )
    command = [sys.executable, "-c", code, str(kept), str(status)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE)
    wait_until(lambda: not alive(int(done.stdout)))


def alive(number: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has waited for does not."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_the_status_of_nothing_is_the_first_one(tmp_path: Path) -> None:
    assert watched.read_status(tmp_path / "none.json") == watched.Status()
    (tmp_path / "half.json").write_text('{"doing": "x"')
    assert watched.read_status(tmp_path / "half.json") == watched.Status()
