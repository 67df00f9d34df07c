"""Keys. A golden key changes only together with the version of its stage: whoever sees one of these fail bumps
`STAGES`."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

from core.fingerprint import STAGES, canonical, hash_array, hash_bytes, hash_file, hash_folder, stage_key

GOLDEN = {
    "corpus": (1, "cd6250d28ca9fdcd"),
    "encode": (1, "1b684d7c1399e60b"),
    "sae": (1, "e8223e59307d628d"),
    "codes": (1, "f0f7ef23719bfcb6"),
    "run": (1, "d325f68959aaceb5"),
    "answer": (4, "ef6497d4b013a3e0"),
    "variant": (1, "12031c37f8579958"),
}


@pytest.mark.parametrize("stage", GOLDEN)
def test_golden_keys(stage: str) -> None:
    version, key = GOLDEN[stage]
    assert STAGES[stage] == version, "the version has been bumped: put the new key here"
    assert stage_key(stage, {"text": "é", "number": 0.1, "list": [1, None, True]}, ("parent",)) == key


def test_a_key_worked_out_by_hand() -> None:
    text = f'["encode@{STAGES["encode"]}",["p"],{{"a":1,"b":[0.5]}}]'
    assert stage_key("encode", {"b": [0.5], "a": 1}, ["p"]) == hashlib.sha256(text.encode()).hexdigest()[:16]


def test_everything_in_a_key_matters_and_order_of_names_does_not() -> None:
    base = stage_key("encode", {"a": 1, "b": 2}, ("p", "q"))
    assert base == stage_key("encode", {"b": 2, "a": 1}, ("p", "q"))
    others = [
        stage_key("sae", {"a": 1, "b": 2}, ("p", "q")),
        stage_key("encode", {"a": 1, "b": 3}, ("p", "q")),
        stage_key("encode", {"a": 1, "b": 2.0}, ("p", "q")),
        stage_key("encode", {"a": 1, "b": 2}, ("q", "p")),
        stage_key("encode", {"a": 1, "b": 2}, ("pq",)),
        stage_key("encode", {"a": 1, "b": 2}),
    ]
    assert len({base, *others}) == 7


def test_a_version_bump_changes_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = stage_key("codes", {})
    monkeypatch.setitem(STAGES, "codes", STAGES["codes"] + 1)
    assert stage_key("codes", {}) != before


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, b"x", np.float32(1)])
def test_what_json_cannot_say_exactly_is_refused(value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        canonical({"x": value})


def test_floats_keep_every_digit() -> None:
    assert json.loads(canonical(0.1 + 0.2)) == 0.1 + 0.2 != 0.3


def test_chunks_are_told_apart() -> None:
    assert (
        len(
            {
                hash_bytes(b"ab", b"c"),
                hash_bytes(b"a", b"bc"),
                hash_bytes(b"abc"),
                hash_bytes(b"abc", b""),
                hash_bytes(),
            }
        )
        == 5
    )


def test_arrays_by_type_shape_and_values() -> None:
    a = np.arange(6)
    assert hash_array(a) == hash_array(np.arange(12)[::2] // 2) == hash_array(a.copy())
    same = [a, a.reshape(2, 3), a.astype(np.int32), a[::-1], a.reshape(2, 3).T]
    assert len({hash_array(x) for x in same}) == 5


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "weights"
    (root / "sub").mkdir(parents=True)
    (root / "config.json").write_text("{}")
    (root / "sub" / "model.safetensors").write_bytes(b"123")
    return root


def test_folders_by_names_and_contents_wherever_they_lie(folder: Path, tmp_path: Path) -> None:
    before = hash_folder(folder)
    (folder / "README.md").write_text("prose")
    os.utime(folder / "config.json", (1, 1))
    assert hash_folder(folder.rename(tmp_path / "elsewhere")) == before
    moved = tmp_path / "elsewhere"
    (moved / "config.json").rename(moved / "config2.json")
    renamed = hash_folder(moved)
    (moved / "sub" / "model.safetensors").write_bytes(b"124")
    assert len({before, renamed, hash_folder(moved)}) == 3


def test_the_memo_saves_reading_and_follows_changes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memo = tmp_path / "cache" / "hashes.json"
    plain = hash_folder(folder)
    assert hash_folder(folder, memo) == plain
    with monkeypatch.context() as patch:
        patch.setattr("core.fingerprint.hash_file", None)  # any reading would fail
        assert hash_folder(folder, memo) == plain
    path = folder / "sub" / "model.safetensors"
    path.write_bytes(b"321")
    os.utime(path, (5, 5))
    assert hash_folder(folder, memo) == hash_folder(folder) != plain


def test_file_hash_is_plain_sha256(folder: Path) -> None:
    assert hash_file(folder / "config.json") == hashlib.sha256(b"{}").hexdigest()
