"""What is read is checked, once; what is broken stops nobody but who needs it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from core.errors import CacheCorrupt
from core.run import list_runs, open_run
from core.store import MANIFEST, Draft, Folder, Store
from tests.store.conftest import ask, cli, flip, one_line

RANKS = "answer/golden-evaluate*/first.npy"


def settle() -> None:
    """Wait until a change of a file is sure to show in its time of change."""
    time.sleep(0.06)


def test_ranks_that_were_set_to_one_are_no_recall(root: Path) -> None:
    for path in root.glob(RANKS):
        ranks = np.load(path)
        np.save(path, np.ones_like(ranks))
    line = one_line(cli("evaluate", "golden"))
    assert "first.npy" in line and "checksum" in line and "retrieval-lens verify --repair" in line


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("encode/*-queries--*/*.npy", ("evaluate", "golden", "--transform", "pca")),
        ("corpus/*/qrels.parquet", ("evaluate", "golden", "--transform", "pca")),
        ("codes/*/data.npy", ("evaluate", "golden", "--remove-top", "0.1")),
        ("codes/*/indptr.npy", ("evaluate", "golden", "--remove-top", "0.1")),
        ("sae/*/dictionary.npy", ("evaluate", "golden", "--remove-top", "0.1")),
        ("answer/golden-concepts*/table.parquet", ("concepts", "golden")),
    ],
)
def test_a_flipped_bit_is_an_error_and_no_number(root: Path, pattern: str, words: tuple[str, ...]) -> None:
    for path in root.glob(pattern):
        flip(path)
    assert "checksum" in one_line(cli(*words))


def test_a_checksum_is_computed_once_in_a_process(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from core import artefact

    read: list[Path] = []
    real = artefact.hash_file
    monkeypatch.setattr(artefact, "hash_file", lambda path: (read.append(path), real(path))[1])
    settle()
    ask(root)
    first = list(read)
    assert first and len(first) == len(set(first))
    ask(root)
    assert read == first
    victim = first[0]
    os.utime(victim)
    settle()
    ask(root)
    assert read == [*first, victim]


def test_a_change_after_the_first_reading_is_noticed(root: Path) -> None:
    run = open_run("golden", Store(root))
    settle()
    run.encode_folder("queries").array(str(run.view))
    flip(root / "encode" / run.encode_folder("queries").path.name / f"{run.view}.npy")
    with pytest.raises(CacheCorrupt, match="checksum"):
        run.encode_folder("queries").array(str(run.view))


GOOD = sp.csr_matrix(np.array([[0, 1, 2, 0], [0, 0, 0, 0], [3, 0, 0, 4]], np.float32))


def sparse(data: list[float], indices: list[int], indptr: list[int], store: Store) -> Folder:
    def write(draft: Draft) -> None:
        draft.save("data", np.array(data, np.float32))
        draft.save("indices", np.array(indices, np.int32))
        draft.save("indptr", np.array(indptr, np.int32))
        draft.facts["shape"] = [3, 4]

    return store.build("codes", "x", {"of": [data, indices, indptr]}, (), write)


@pytest.mark.parametrize(
    ("indices", "indptr", "why"),
    [
        ([1, 2, 0, 3], [0, 2, 2, 4], ""),
        ([1, 2, 0, 3], [0, 2, 2, 4096], "ends of rows"),
        ([1, 2, 0, 3], [0, 3, 2, 4], "ends of rows"),
        ([1, 2, 0, 3], [1, 2, 2, 4], "ends of rows"),
        ([1, 2, 0, 3], [0, 2, 4], "3 row ends for 3 rows"),
        ([1, 2, 0, 4], [0, 2, 2, 4], "a column outside 0 to 3"),
        ([1, 2, 0, -1], [0, 2, 2, 4], "a column outside 0 to 3"),
        ([2, 1, 0, 3], [0, 2, 2, 4], "do not rise"),
        ([1, 1, 0, 3], [0, 2, 2, 4], "do not rise"),
    ],
)
def test_codes_are_validated_when_they_are_loaded(tmp_path: Path, indices: list, indptr: list, why: str) -> None:
    """Their checksums fit: it is the arrays that do not fit each other. scipy would read foreign memory."""
    from core.sae import load_codes

    folder = sparse([1, 2, 3, 4], indices, indptr, Store(tmp_path))
    if why:
        with pytest.raises(CacheCorrupt, match=why):
            load_codes(folder)
    else:
        assert np.array_equal(load_codes(folder).toarray(), GOOD.toarray())


def test_a_flipped_row_end_does_not_end_the_process(root: Path) -> None:
    """In a process of its own: it ended with a segmentation fault."""
    for path in root.glob("codes/*/indptr.npy"):
        flip(path, at=-2, bit=64)
    words = [sys.executable, "-m", "core", "evaluate", "golden", "--remove-top", "0.1"]
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=240)
    assert done.returncode == 1 and "checksum" in done.stderr


BAD_MANIFESTS = {
    "truncated": lambda text: text[: len(text) // 2],
    "empty": lambda text: "",
    "not UTF-8": lambda text: b"\xff\xfe" + text.encode(),
    "a list": lambda text: "[1, 2]",
    "deeply nested": lambda text: "[" * 100_000,
    "no key": lambda text: json.dumps({k: v for k, v in json.loads(text).items() if k != "key"}),
    "no facts": lambda text: json.dumps({k: v for k, v in json.loads(text).items() if k != "facts"}),
    "no files": lambda text: json.dumps({k: v for k, v in json.loads(text).items() if k != "files"}),
    "facts of nothing": lambda text: json.dumps(
        {k: v for k, v in json.loads(text).items() if k not in ("seal", "digest", "origins", "serial")} | {"facts": {}}
    ),
}


@pytest.fixture
def two_runs(root: Path) -> Path:
    """The cache with a second run whose manifest can be broken: the same items, another name and key."""
    from core import pipeline
    from core.config import parse_spec
    from tests.golden import make

    pipeline.run(parse_spec(make.spec() | {"name": "other"}), Store(root))
    return next((root / "run").glob("other--*"))


@pytest.mark.parametrize("how", BAD_MANIFESTS)
def test_a_broken_run_is_listed_and_the_others_live_on(root: Path, two_runs: Path, how: str) -> None:
    text = (two_runs / MANIFEST).read_text()
    bad = BAD_MANIFESTS[how](text)
    (two_runs / MANIFEST).write_bytes(bad if isinstance(bad, bytes) else bad.encode())
    assert [run.name for run in list_runs(Store(root))] == ["golden"]
    assert cli("evaluate", "golden").exit_code == 0
    listed = json.loads(cli("runs", "--json").stdout)
    assert [row["name"] for row in listed["runs"]] == ["golden"]
    (broken,) = listed["broken"]
    assert broken["name"] == "other" and f"retrieval-lens remove {broken['key']}" in broken["next"]
    assert cli("runs").exit_code == 0
    assert f"retrieval-lens remove {broken['key']}" in one_line(cli("evaluate", "other"))
    assert "run/other--" in cli("verify").stdout
    assert cli("remove", "other").exit_code == 0
    assert json.loads(cli("runs", "--json").stdout)["broken"] == [] and cli("verify").exit_code == 0


def test_a_run_without_its_embeddings_is_listed_as_broken(root: Path, two_runs: Path) -> None:
    spec = json.loads((two_runs / MANIFEST).read_text())
    shutil.rmtree(next((root / "codes").iterdir()))
    listed = json.loads(cli("runs", "--json").stdout)
    assert listed["runs"] == [] and {row["name"] for row in listed["broken"]} == {"golden", spec["facts"]["name"]}
    assert all("retrieval-lens run" in row["next"] for row in listed["broken"])
    assert cli("remove", "other").exit_code == 0  # a broken run can be removed
    assert cli("run", "golden").exit_code == 0 and cli("runs").exit_code == 0


def test_listing_runs_reads_no_array(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> str:
        raise AssertionError(path)

    monkeypatch.setattr("core.artefact.hash_file", refuse)
    assert json.loads(cli("runs", "--json").stdout)["runs"][0]["queries"] == 56


@pytest.mark.parametrize("page", ["overview", "runs", "retrieval"])
def test_pages_show_the_other_runs(root: Path, two_runs: Path, page: str) -> None:
    from dashboard_driver import healthy, show

    (two_runs / MANIFEST).write_bytes(b"\xff{")
    app = show(page, run="golden")
    healthy(app, page)
    assert [name.split()[0] for name in app.selectbox(key="w-run").options] == ["golden"]
    if page == "runs":
        assert "Broken runs: 1." in app.error[0].value
        assert list(app.dataframe[1].value["name"]) == ["other"]
