"""The cache on disk: folders appear whole, survive kills and second writers, and are not believed when they are
broken."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from core.errors import NotAvailable
from core.fingerprint import STAGES, hash_file
from core.store import MANIFEST, Draft, Folder, Store, cache_root, slugify

SPEC = {"n": 3}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


def build(store: Store, value: float = 1.0, spec: dict | None = None, parents: tuple[str, ...] = ()) -> Folder:
    """A folder with one array and a fact."""

    def write(draft: Draft) -> None:
        draft.save("numbers", np.full(100, value))
        (draft.path / "sub").mkdir(exist_ok=True)
        (draft.path / "sub" / "words.txt").write_text("words")
        draft.facts["value"] = np.float64(value)

    return store.build("answer", "My Slug", spec or SPEC, parents, write)


def test_a_folder_explains_itself(store: Store) -> None:
    folder = build(store, parents=("p1", "p2"))
    manifest = json.loads((folder.path / MANIFEST).read_text())
    assert folder.path == store.root / "answer" / f"my-slug--{folder.key}"
    assert (manifest["stage"], manifest["spec"], manifest["parents"], manifest["facts"]) == (
        f"answer@{STAGES['answer']}",
        SPEC,
        ["p1", "p2"],
        {"value": 1.0},
    )
    assert set(manifest["files"]) == {"numbers.npy", "sub/words.txt"}
    entry = manifest["files"]["numbers.npy"]
    path = folder.path / "numbers.npy"
    assert entry == {"bytes": path.stat().st_size, "sha256": hash_file(path), "shape": [100], "dtype": "float64"}
    assert folder.size == path.stat().st_size + 5 and manifest["seconds"] >= 0 and "numpy" in manifest["versions"]
    assert sorted(p.name for p in (store.root / "answer").iterdir()) == [folder.path.name]


def test_the_second_build_writes_nothing(store: Store) -> None:
    first, second = build(store, 1.0), build(store, 2.0)
    assert second.path == first.path and second.array("numbers")[0] == 1.0


def test_spec_and_parents_make_the_key(store: Store) -> None:
    keys = {build(store).key, build(store, spec={"n": 4}).key, build(store, parents=("p",)).key}
    assert len(keys) == 3 == len(store.folders("answer")) == len(list(store.all_folders()))


def test_arrays_are_read_only_memmaps(store: Store) -> None:
    folder = build(store)
    numbers = folder.array("numbers")
    assert isinstance(numbers, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        numbers[0] = 5
    with pytest.raises(NotAvailable, match="holds no array 'letters'"):
        folder.array("letters")


def test_empty_arrays_and_no_pickles(store: Store) -> None:
    folder = store.build("answer", "x", {}, (), lambda draft: draft.save("none", np.empty((0, 4), np.float32)))
    assert folder.array("none").shape == (0, 4)
    with pytest.raises(ValueError, match="Object arrays"):
        store.build("answer", "x", {"o": 1}, (), lambda draft: draft.save("objects", np.array([{}], dtype=object)))


@pytest.mark.parametrize("damage", ["shorter", "longer", "gone", "no manifest"])
def test_what_does_not_weigh_what_it_should_is_not_found(damage: str, store: Store) -> None:
    folder = build(store)
    path = folder.path / "numbers.npy"
    if damage == "no manifest":
        (folder.path / MANIFEST).unlink()
    elif damage == "gone":
        path.unlink()
    else:
        data = path.read_bytes()
        path.write_bytes(data[:-1] if damage == "shorter" else data + b"x")
    assert store.find("answer", folder.key) is None and store.folders("answer") == []
    assert build(store, 3.0).array("numbers")[0] == 3.0
    assert build(store, 4.0).verify() == []


def test_verify_sees_a_flipped_byte(store: Store) -> None:
    folder = build(store)
    data = bytearray((folder.path / "numbers.npy").read_bytes())
    data[-1] ^= 1
    (folder.path / "numbers.npy").write_bytes(data)
    found = store.find("answer", folder.key)
    assert found is not None and found.verify() == ["numbers.npy"]


def test_a_failed_build_leaves_nothing_that_counts_and_can_resume(store: Store) -> None:
    def half(draft: Draft) -> None:
        draft.save("first", np.arange(3))
        raise RuntimeError("power cut")

    def rest(draft: Draft) -> None:
        assert (draft.path / "first.npy").is_file()  # what was whole is still there
        draft.save("second", np.arange(4))

    with pytest.raises(RuntimeError):
        store.build("answer", "x", SPEC, (), half)
    assert store.folders("answer") == []
    assert set(store.build("answer", "x", SPEC, (), rest).manifest["files"]) == {"first.npy", "second.npy"}


def test_remove_frees_and_forgets(store: Store) -> None:
    folder = build(store)
    size = folder.size + (folder.path / MANIFEST).stat().st_size
    assert store.remove(folder) == size > 0
    assert store.find("answer", folder.key) is None and not folder.path.exists()


def test_unfinished_work_is_removed_unless_somebody_is_at_it(store: Store) -> None:
    def stops(draft: Draft) -> None:
        draft.save("half", np.zeros(1000))
        assert store.remove_unfinished() == 0  # this very build holds the lock
        raise KeyboardInterrupt

    kept = build(store)
    with pytest.raises(KeyboardInterrupt):
        store.build("encode", "half", {"of": "it"}, (), stops)
    assert store.remove_unfinished() > 8000
    assert not list(store.root.rglob(".work--*"))
    assert store.remove_unfinished() == 0 and kept.verify() == []


def test_threads_that_want_the_same_folder_build_it_once(store: Store) -> None:
    calls: list[int] = []

    def write(draft: Draft) -> None:
        calls.append(1)
        time.sleep(0.1)
        draft.save("numbers", np.arange(3))

    found: list[Folder] = []
    threads = [
        threading.Thread(target=lambda: found.append(store.build("answer", "x", SPEC, (), write))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1 and len({f.path for f in found}) == 1 and len(found) == 6


def test_readers_never_meet_a_half_written_manifest(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a writer is between the first byte of its manifest and the rename, its work folder is nobody's business."""
    real = Path.write_text
    seen: list[object] = []

    def slow(self: Path, text: str, *args, **kwargs) -> int:
        if MANIFEST in self.name:
            for part in (text[: len(text) // 2], text):
                real(self, part, *args, **kwargs)
                seen.extend([store.folders("answer"), store.find("answer", json.loads(text)["key"])])
        return real(self, text, *args, **kwargs)

    monkeypatch.setattr(Path, "write_text", slow)
    assert build(store).verify() == []
    assert seen == [[], None, [], None]


WRITER = """
import sys, time, numpy as np
from pathlib import Path
from core.store import Store

def write(draft):
    with open(draft.path / "log.txt", "a") as log:
        log.write("started\\n")
    for n in range(int(sys.argv[2])):
        if not (draft.path / f"shard{n}.npy").exists():
            draft.save(f"shard{n}", np.full(1000, n))
            print(n, flush=True)
            time.sleep(float(sys.argv[3]))

print(Store(Path(sys.argv[1])).build("answer", "x", {}, (), write).path, flush=True)
"""


def writer(store: Store, shards: int, pause: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(store.root), str(shards), str(pause)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_killed_writer_is_taken_over_from_its_last_shard(store: Store) -> None:
    with writer(store, 40, 0.05) as process:
        assert process.stdout is not None
        while process.stdout.readline().strip() != "3":
            pass
        os.kill(process.pid, signal.SIGKILL)
    assert store.folders("answer") == []
    with writer(store, 6, 0) as process:
        lines = process.stdout.read().split() if process.stdout else []
    assert lines[:-1] == ["4", "5"] and len(store.folders("answer")[0].manifest["files"]) == 7
    assert store.folders("answer")[0].verify() == []


def test_two_processes_write_one_folder_once(store: Store) -> None:
    processes = [writer(store, 5, 0.05) for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert len({output[-1] for output in outputs}) == 1
    assert sorted(len(output) for output in outputs) == [1, 6]
    (folder,) = store.folders("answer")
    assert (folder.path / "log.txt").read_text() == "started\n" and folder.verify() == []


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RETRIEVAL_LENS_CACHE", str(tmp_path / "x"))
    assert cache_root() == tmp_path / "x" == Store.default().root
    monkeypatch.delenv("RETRIEVAL_LENS_CACHE")
    assert cache_root().name in {"cache", "retrieval-lens"}


SLUGS = [("Qwen/Qwen2-VL 7B", "qwen-qwen2-vl-7b"), ("../..", "unnamed"), ("é" * 3, "unnamed"), ("a" * 99, "a" * 60)]


@pytest.mark.parametrize(("text", "slug"), SLUGS)
def test_slugs_are_plain(text: str, slug: str) -> None:
    assert slugify(text) == slug
