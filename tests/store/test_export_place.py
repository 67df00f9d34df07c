"""Where an export may go, what a failed one leaves, and that two are equal."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from safetensors import safe_open

from core.run import open_run
from core.store import Store
from tests.store.conftest import cli, one_line


def sums(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_two_exports_are_equal_byte_by_byte(root: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert cli("export", "golden", "--out", tmp_path / name).exit_code == 0
    assert sums(tmp_path / "a") == sums(tmp_path / "b")
    run = open_run("golden", Store(root))
    for _ in range(6):  # the order of a header changes from one writing to the next
        assert cli("export", "golden", "--out", tmp_path / "b").exit_code == 0
        assert sums(tmp_path / "a") == sums(tmp_path / "b")
    codes = sp.load_npz(tmp_path / "a" / "codes_queries.npz")
    assert codes.format == "csr" and (codes != run.codes("queries")).nnz == 0
    with safe_open(tmp_path / "a" / "whitening.safetensors", framework="np") as whitening:
        assert whitening.metadata()["run"] == "golden" and np.isfinite(whitening.get_tensor("query.matrix")).all()


@pytest.mark.parametrize("where", ["cache", "cache/exports", "cache/run/mine", ".", "file"])
def test_no_export_into_the_cache_or_over_it(root: Path, tmp_path: Path, where: str) -> None:
    (tmp_path / "file").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    one_line(cli("export", "golden", "--out", tmp_path / where))
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["thesis.tex", "queries.npy", "manifest.json", ".hidden", "photos/"])
def test_no_export_over_a_folder_with_other_things(root: Path, tmp_path: Path, name: str) -> None:
    """Own embeddings have the names of an export's files; they are somebody's all the same."""
    out = tmp_path / "out"
    out.mkdir()
    (out / name).mkdir() if name.endswith("/") else (out / name).write_text("{}")
    assert "the folder holds other things" in one_line(cli("export", "golden", "--out", out))
    assert [path.name for path in out.iterdir()] == [name.rstrip("/")]


def test_an_earlier_export_is_replaced_and_an_empty_folder_filled(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for _ in range(2):
        assert cli("export", "golden", "--out", out).exit_code == 0
    (out / "notes.txt").write_text("mine")
    assert "'notes.txt'" in one_line(cli("export", "golden", "--out", out))


@pytest.mark.parametrize("earlier", [False, True])
def test_a_failed_export_leaves_nothing(root: Path, tmp_path: Path, earlier: bool) -> None:
    out = tmp_path / "deep" / "er"
    if earlier:
        assert cli("export", "golden", "--out", out).exit_code == 0
    before = sums(out) if earlier else {}
    next(root.glob("sae/*/dictionary.npy")).write_bytes(b"")
    one_line(cli("export", "golden", "--out", out))
    assert (sums(out) == before) if earlier else not (tmp_path / "deep").exists()


def test_a_full_disk_leaves_nothing(root: Path, small_disk: Callable[[int], Path]) -> None:
    place = small_disk(48 * 1024)
    assert "not enough space on the disk" in one_line(cli("export", "golden", "--out", place / "out"))
    assert list(place.iterdir()) == []


def test_a_killed_export_can_be_repeated(root: Path, tmp_path: Path) -> None:
    assert cli("export", "golden", "--out", tmp_path / "whole").exit_code == 0
    out = tmp_path / "out"
    (out / ".export-killed").mkdir(parents=True)
    (out / ".export-killed" / "queries.npy").write_bytes(b"half")
    assert cli("export", "golden", "--out", out).exit_code == 0
    assert sums(out) == sums(tmp_path / "whole")
