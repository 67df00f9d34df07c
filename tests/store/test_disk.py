"""Full disks and caches that cannot be written: one line, exit 1, nothing that stops the next run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from core import disk, encode
from core.errors import CacheReadOnly, DiskFull
from core.run import open_run
from core.store import MANIFEST, Draft, Store
from tests.pipeline.test_encode import FACTS, VIEWS, Model, Table, run
from tests.store.conftest import ask, cli, one_line

SPACE = "not enough space on the disk"


@pytest.fixture
def reads_small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode, "WINDOW", 16)


def begun(store: Store) -> Path:
    """The work folder of an encoding that was interrupted in its third window."""
    with pytest.raises(KeyboardInterrupt):
        run(Table(50), Model(breaks_at=10), store)
    (work,) = [path for path in (store.root / "encode").glob(".work--*") if path.is_dir()]
    return work


LEFT: dict[str, Callable[[Path], object]] = {
    "an empty array": lambda work: os.truncate(next(work.glob("layer*.npy")), 0),
    "half an array": lambda work: next(work.glob("layer*.npy")).write_bytes(
        next(work.glob("layer*.npy")).read_bytes()[:150]
    ),
    "an array of another shape": lambda work: np.save(next(work.glob("layer*.npy")), np.zeros((3, 3), np.float32)),
    "an array of zeros": lambda work: next(work.glob("layer*.npy")).write_bytes(
        next(work.glob("layer*.npy")).read_bytes()[:128] + bytes(50 * 3 * 4)
    ),
    "an empty journal": lambda work: (work / journal(work)).write_text(""),
    "half a journal": lambda work: (work / journal(work)).write_text((work / journal(work)).read_text()[:30]),
    "a journal of another text": lambda work: (work / journal(work)).write_text('{"windows": 7}'),
    "a journal of an earlier release": lambda work: (work / "windows.json").write_text('{"windows": [0, 16]}'),
    "an empty manifest": lambda work: (work / MANIFEST).write_text(""),
    "a file written aside": lambda work: (work / ".data.npy.7.tmp.npy").write_bytes(b"x"),
    "nothing": shutil.rmtree,
    "an empty folder": lambda work: (shutil.rmtree(work), work.mkdir()),
    "a locked-up lock": lambda work: work.with_name(f"{work.name}.lock").write_text(""),
}


def journal(work: Path) -> str:
    """Its name now and before."""
    return next(name for name in (".windows.json", "windows.json") if (work / name).is_file())


@pytest.mark.usefixtures("reads_small_windows")
@pytest.mark.parametrize("left", LEFT)
def test_whatever_an_interrupted_write_leaves_the_next_run_ends_the_same(tmp_path: Path, left: str) -> None:
    expected = run(Table(50), Model(), Store(tmp_path / "whole"))
    store = Store(tmp_path / "cache")
    LEFT[left](begun(store))
    folder = run(Table(50), Model(), store)
    assert {name: entry["sha256"] for name, entry in folder.manifest["files"].items()} == {
        name: entry["sha256"] for name, entry in expected.manifest["files"].items()
    }
    assert folder.facts["tokens"] == expected.facts["tokens"]
    assert [path.name for path in (store.root / "encode").iterdir()] == [folder.path.name]


@pytest.mark.usefixtures("reads_small_windows")
def test_a_build_that_lacked_nothing_but_its_rename_is_not_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)

    def cut(self: Store, work: Path, final: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Store, "_publish", cut)
        with pytest.raises(KeyboardInterrupt):
            run(Table(50), Model(), store)
    again = Model(breaks_at=0)  # it would stop at once
    assert run(Table(50), again, store).verify() == []


def test_space_is_checked_before_a_stage(small_disk: Callable[[int], Path]) -> None:
    store = Store(small_disk(2 * 2**20) / "cache")
    table = Table(200_000)
    model = Model()
    with pytest.raises(DiskFull, match=rf"{SPACE}; got encode needs 6\.2 MiB; [12]\.\d MiB free in .*next: make room"):
        encode.encode_part(table, FACTS, lambda: model, VIEWS, store, encode_progress())  # type: ignore[arg-type]
    assert model.batches == [] and not list((store.root / "encode").iterdir())


def encode_progress() -> object:
    from core.progress import NoProgress

    return NoProgress()


def test_a_map_is_reserved_before_it_is_written(small_disk: Callable[[int], Path]) -> None:
    """Writing into a map without blocks on a full disk is SIGBUS: the process is gone without a word."""
    place = small_disk(2**20)
    with pytest.raises(OSError, match="No space"):
        disk.reserved_map(place / "rows.npy", (2**20,), np.dtype(np.float32))
    array, there = disk.reserved_map(place / "few.npy", (1000,), np.dtype(np.float32))
    assert not there and os.stat(place / "few.npy").st_blocks * 512 >= 4000
    array[:] = 1
    assert disk.reserved_map(place / "few.npy", (1000,), np.dtype(np.float32))[1]


def test_a_full_disk_is_known_whoever_says_it(small_disk: Callable[[int], Path]) -> None:
    """numpy, torch, safetensors and arrow each have words of their own for it."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    import torch
    from safetensors.numpy import save_file

    place, rows = small_disk(64 * 1024), np.random.default_rng(0).random(100_000)
    last = range(7_900, 8_200, 20)  # around what fits into 64 KiB
    writers: dict[str, Callable[[Path], object]] = {
        "numpy": lambda path: np.save(path, rows),
        "torch": lambda path: torch.save(torch.from_numpy(rows), path),
        "torch, at its last bytes": lambda path: [torch.save(torch.zeros(n, dtype=torch.float64), path) for n in last],
        "safetensors": lambda path: save_file({"rows": rows}, path),
        "arrow": lambda path: pq.write_table(pa.table({"rows": rows}), path),
        "python": lambda path: path.write_bytes(bytes(2**20)),
    }
    for name, write in writers.items():
        path = place / f"{name}.npy"
        with pytest.raises(Exception) as caught:  # noqa: PT011 - each library has its own
            write(path)
        assert disk.is_full(caught.value), (name, repr(caught.value))
        path.unlink(missing_ok=True)
    assert not disk.is_full(ValueError("a width of 3")) and not disk.is_full(OSError(2, "No such file"))


@pytest.mark.parametrize("kib", [8, 40, 120, 150, 180, 220])
def test_a_full_disk_is_one_line_and_the_next_run_ends(
    kib: int,
    small_disk: Callable[[int], Path],
    root: Path,
    run_again: Callable[[], Result],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = small_disk(kib * 1024)
    monkeypatch.setenv("RETRIEVAL_LENS_CACHE", str(place / "cache"))
    line = one_line(run_again())
    assert SPACE in line and str(place) in line and "free in" in line
    small_disk(64 * 2**20)
    assert run_again().exit_code == 0
    assert cli("verify").exit_code == 0 and ask(place / "cache") == ask(root)


def test_files_and_folder_are_on_the_disk_before_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[tuple[str, str]] = []
    real_sync, real_replace = disk.sync, os.replace
    monkeypatch.setattr(disk, "sync", lambda path: (done.append(("sync", Path(path).name)), real_sync(path)))
    monkeypatch.setattr(os, "replace", lambda a, b: (done.append(("rename", Path(b).name)), real_replace(a, b)))

    def write(draft: Draft) -> None:
        draft.save("numbers", np.arange(3))
        (draft.path / "words.txt").write_text("words")

    folder = Store(tmp_path).build("answer", "x", {}, (), write)
    last = done.index(("rename", folder.path.name))
    for name in ("numbers.npy", "words.txt", f".work--{folder.key}"):
        assert ("sync", name) in done[:last], name
    assert any(kind == "sync" and MANIFEST in name for kind, name in done[:last])
    assert done[last + 1 :] == [("sync", "answer")]


@pytest.fixture
def read_only(root: Path) -> Iterator[Path]:
    """The cache, mounted so that nobody can write into it: root could otherwise."""
    mounts = [["mount", "--bind", str(root), str(root)], ["mount", "-o", "remount,ro,bind", str(root)]]
    for words in mounts:
        if subprocess.run(words, check=False, capture_output=True).returncode:
            subprocess.run(["umount", str(root)], check=False, capture_output=True)
            pytest.skip("nothing can be mounted here")
    yield root
    subprocess.run(["umount", "-l", str(root)], check=True)


def test_a_read_only_cache_serves_what_it_holds_and_computes_the_rest(read_only: Path, run_again: Callable) -> None:
    listed = sorted(str(path) for path in read_only.rglob("*"))
    said = ""
    for words in (("runs",), ("show", "golden"), ("evaluate", "golden"), ("concepts", "golden"), ("verify",)):
        result = cli(*words)
        assert result.exit_code == 0, (words, result.output)
        said += result.stderr
    first = cli("evaluate", "golden", "--transform", "pca", "--json")  # not in the cache
    second = cli("evaluate", "golden", "--transform", "zca", "--json")
    assert first.exit_code == second.exit_code == 0
    assert (said + first.stderr + second.stderr).count("computed, not kept") == 1
    again = cli("evaluate", "golden", "--transform", "pca", "--json")
    assert json.loads(again.stdout) == json.loads(first.stdout)
    assert run_again().exit_code == 0  # all of it is there
    assert sorted(str(path) for path in read_only.rglob("*")) == listed


def test_a_read_only_cache_refuses_what_it_cannot_do(read_only: Path) -> None:
    for words in (("remove", "golden"), ("remove", "--unfinished")):
        assert "RETRIEVAL_LENS_CACHE" in one_line(cli(*words))
    with pytest.raises(CacheReadOnly, match="nothing can be written"):
        Store(read_only).build("encode", "x", {"new": 1}, (), lambda draft: None)
    assert open_run("golden", Store(read_only)).name == "golden"


@pytest.mark.parametrize("place", ["a file", "below a file", "nowhere"])
def test_a_cache_that_cannot_be_is_the_users_to_mend(
    tmp_path: Path, place: str, run_again: Callable[[], Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("mine")
    path = {"a file": tmp_path / "file", "below a file": tmp_path / "file" / "cache", "nowhere": Path("/proc/cache")}
    monkeypatch.setenv("RETRIEVAL_LENS_CACHE", str(path[place]))
    assert "RETRIEVAL_LENS_CACHE" in one_line(run_again())
    assert cli("runs").exit_code == 0 and cli("verify").exit_code == 0
    assert "no such run" in one_line(cli("evaluate", "golden"))
