"""Many hands on one cache: two processes, a removal in between, a clock that jumps, a copy elsewhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import Result

from core import pipeline
from core import store as stored
from core.commands.export import export_run
from core.config import parse_spec
from core.errors import UserError
from core.run import list_runs, open_run
from core.store import MANIFEST, Store
from tests.golden import make
from tests.store.conftest import ask, cli


def test_two_processes_on_one_run(root: Path, tmp_path: Path, run_again: Callable[[], Result]) -> None:
    spec, cache = tmp_path / "golden.toml", tmp_path / "both"
    words = [sys.executable, "-m", "core", "run", str(spec), "--json"]
    environment = {"RETRIEVAL_LENS_CACHE": str(cache)}
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=os.environ | environment) for _ in range(2)]
    told = [json.loads(process.communicate(timeout=280)[0]) for process in both]
    assert [process.returncode for process in both] == [0, 0] and told[0] == told[1]
    folders = {path.name for path in cache.rglob("*--*") if path.is_dir()}
    assert len(folders) == len({name.rpartition("--")[2] for name in folders})
    assert not list(cache.rglob(".work--*")) and ask(cache) == ask(root)


def test_a_removal_under_an_export(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run goes away after each file in turn: the export is whole, or one error and nothing of it."""
    whole = tmp_path / "whole"
    export_run(open_run("golden", Store(root)), whole)
    expected = sorted(path.name for path in whole.iterdir())
    outcomes = set()
    for after in range(0, 12, 3):
        cache, out, calls = tmp_path / f"cache{after}", tmp_path / f"out{after}", [0]
        shutil.copytree(root, cache)
        run = open_run("golden", Store(cache))
        real = stored.Folder.file

        def file(self: stored.Folder, name: str, calls=calls, cache=cache, after=after, real=real) -> Path:
            calls[0] += 1
            if calls[0] == after + 1:
                shutil.rmtree(cache)
            return real(self, name)

        with monkeypatch.context() as patch:
            patch.setattr(stored.Folder, "file", file)
            try:
                export_run(run, out)
                assert sorted(path.name for path in out.iterdir()) == expected
                outcomes.add("whole")
            except UserError:
                assert not out.exists()
                outcomes.add("error")
    assert "error" in outcomes


def test_a_removal_while_others_list_and_read(root: Path) -> None:
    """No reader meets an exception that is a fault of ours."""
    other = make.spec() | {"name": "other"}
    wrong: list[BaseException] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            try:
                list_runs(Store(root))
                cli("runs")
                open_run("other", Store(root)).embeddings("queries")
            except UserError:
                continue
            except BaseException as error:
                wrong.append(error)
                return

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(5):
        made = pipeline.run(parse_spec(other), Store(root))
        Store(root).remove(made.folder)
    stop.set()
    reader.join()
    assert wrong == [] and open_run("golden", Store(root)).name == "golden"


def test_a_clock_that_was_set_back_does_not_make_an_older_run_the_newest(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Yesterday(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime(1999, 1, 1, tzinfo=UTC)

    before = open_run("golden", Store(root))
    for module in ("core.artefact", "core.store"):
        monkeypatch.setattr(f"{module}.datetime", Yesterday, raising=False)
    spec = make.spec() | {"whitening": {"beta": 0.5}}
    made = pipeline.run(parse_spec(spec), Store(root))
    assert made.key != before.key and made.folder.manifest["created"].startswith("1999")
    assert open_run("golden", Store(root)).key == made.key
    assert [run.key for run in list_runs(Store(root))] == [made.key, before.key]


def test_times_of_files_in_the_future_or_the_past_change_nothing(root: Path) -> None:
    before = ask(root)
    for path, second in zip(sorted(root.rglob("*.npy")), (0, 4_000_000_000) * 99, strict=False):
        os.utime(path, (second, second))
    assert ask(root) == before and cli("verify").exit_code == 0


def test_a_copy_elsewhere_is_the_same_cache(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "another place" / "cache"
    shutil.copytree(root, elsewhere)
    expected = ask(root)
    shutil.rmtree(root)
    monkeypatch.setenv("RETRIEVAL_LENS_CACHE", str(elsewhere))
    made = {path: path.stat().st_mtime_ns for path in elsewhere.rglob(MANIFEST)}
    assert ask(elsewhere) == expected and cli("verify").exit_code == 0 and cli("run", "golden").exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in elsewhere.rglob(MANIFEST)} == made  # nothing was made again
