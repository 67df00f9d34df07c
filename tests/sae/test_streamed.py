"""Codes on disk: written block by block, the same files as from whole arrays, gone on with after an interruption."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.artefact import Draft, Folder
from core.progress import NoProgress
from core.sae import SaeEncoder, encode_codes, load_codes, streamed
from core.sae.files import finish
from core.store import Store

C, D, K, N, BLOCK = 60, 16, 5, 100, 8
FILES = ("data", "indices", "indptr", "offset")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.sae.codes.BLOCK_VALUES", BLOCK * C)
    monkeypatch.setattr(streamed, "NOTED", 2 * BLOCK)


@pytest.fixture(params=["raw", "normalised"])
def sae(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    import torch
    from sae_lens import TopKSAE, TopKSAEConfig

    def write(draft: Draft) -> None:
        torch.manual_seed(0)
        made = TopKSAE(TopKSAEConfig(d_in=D, d_sae=C, k=K))
        with torch.no_grad():
            made.b_dec += torch.randn(D)
        made.save_model(draft.path)
        finish(draft, {"input": request.param, "source": "test", "trained_on": "nothing"}, K)

    return Store(tmp_path).build("sae", "test", {}, (), write)


@pytest.fixture
def encoded(tmp_path: Path) -> Folder:
    rows = np.random.default_rng(1).normal(size=(N, D)).astype(np.float32)
    return Store(tmp_path).build("encode", "tiny", {}, (), lambda draft: draft.save("view", rows))


def made(sae: Folder, encoded: Folder, place: Path) -> Folder:
    return encode_codes(sae, encoded, "view", Store(place), NoProgress())


def content(folder: Folder) -> dict[str, bytes]:
    return {name: (folder.path / f"{name}.npy").read_bytes() for name in FILES}


def reads(monkeypatch: pytest.MonkeyPatch, breaks_at: int | None = None) -> list[int]:
    """Rows of every block that is encoded from now on; the block `breaks_at` is interrupted."""
    seen: list[int] = []
    block = SaeEncoder._block

    def watched(self: SaeEncoder, rows: np.ndarray) -> Any:
        if len(seen) == breaks_at:
            raise KeyboardInterrupt
        seen.append(len(rows))
        return block(self, rows)

    monkeypatch.setattr(SaeEncoder, "_block", watched)
    return seen


def test_files_are_those_of_whole_arrays(sae: Folder, encoded: Folder, tmp_path: Path) -> None:
    folder = made(sae, encoded, tmp_path / "ours")
    direct = SaeEncoder(sae.path, sae.facts["input"]).encode(encoded.array("view"))
    whole = {"data": direct.codes.data, "indices": direct.codes.indices, "indptr": direct.codes.indptr}
    for name, array in (whole | {"offset": direct.offset}).items():
        np.save(tmp_path / "whole.npy", array)
        found, expected = folder.array(name), np.load(tmp_path / "whole.npy")
        assert found.dtype == expected.dtype
        assert np.array_equal(found, expected), name
    assert content(folder)["data"] == _saved(tmp_path, direct.codes.data)
    assert not [path for path in folder.path.iterdir() if path.name.startswith(".")]


def _saved(place: Path, array: np.ndarray) -> bytes:
    np.save(place / "saved.npy", array)
    return (place / "saved.npy").read_bytes()


@pytest.mark.parametrize("breaks_at", [0, 1, 5, 6, 12])
def test_an_interrupted_stage_goes_on_where_it_stopped(
    sae: Folder, encoded: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, breaks_at: int
) -> None:
    reference = content(made(sae, encoded, tmp_path / "reference"))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        reads(patch, breaks_at)
        made(sae, encoded, tmp_path / "ours")
    seen = reads(monkeypatch)
    assert content(made(sae, encoded, tmp_path / "ours")) == reference
    assert sum(seen) == N - breaks_at // 2 * 2 * BLOCK  # noted every second block


@pytest.mark.parametrize("name", [".data.npy", ".indices.npy", ".counts.npy", ".codes.json"])
@pytest.mark.parametrize("harm", ["flip", "cut", "gone"])
def test_what_an_interruption_left_is_believed_only_as_far_as_it_is_whole(
    sae: Folder, encoded: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, harm: str
) -> None:
    reference = content(made(sae, encoded, tmp_path / "reference"))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        reads(patch, 9)
        made(sae, encoded, tmp_path / "ours")
    (path,) = (tmp_path / "ours").rglob(name)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink() if harm == "gone" else path.write_bytes(data if harm == "flip" else data[: len(data) // 2])
    assert content(made(sae, encoded, tmp_path / "ours")) == reference


def test_many_values_have_columns_of_64_bits(
    sae: Folder, encoded: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow = load_codes(made(sae, encoded, tmp_path / "narrow"))
    monkeypatch.setattr(streamed, "WIDE", 10)
    folder = made(sae, encoded, tmp_path / "wide")
    assert folder.array("indices").dtype == folder.array("indptr").dtype == np.int64
    assert np.array_equal(load_codes(folder).toarray(), narrow.toarray())


def test_one_block_at_a_time_is_in_memory(sae: Folder, encoded: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The encoder hands blocks on; nobody collects them."""
    import weakref

    alive: list[weakref.ref[Any]] = []
    blocks = SaeEncoder.blocks

    def watched(self: SaeEncoder, rows: np.ndarray) -> Iterator[Any]:
        for one in blocks(self, rows):
            alive.append(weakref.ref(one.codes))
            assert sum(ref() is not None for ref in alive) <= 2
            yield one

    monkeypatch.setattr(SaeEncoder, "blocks", watched)
    made(sae, encoded, encoded.path.parent.parent / "ours")
    assert len(alive) == -(-N // BLOCK)
