"""Keys of the cache: `hash(parent keys, stage@version, canonical spec)`.

A key changes when, and only when, something changes that a number depends on. Bump the stage's version in the
change that alters its numbers; `tests/test_fingerprint.py` holds golden keys.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from core.disk import write_text

STAGES: dict[str, int] = {
    "mteb": 1,
    "corpus": 1,
    "encode": 1,
    "captions": 1,
    "states": 1,
    "sae": 1,
    "codes": 1,
    "run": 1,
    "answer": 4,
    "variant": 1,
    "carried": 1,
}
"""Every stage and the version of the numbers it makes."""

KEY_LENGTH = 16


def canonical(value: Any) -> str:
    """JSON with sorted keys, no blanks and full float precision; refuses what JSON cannot say exactly."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def stage_key(stage: str, spec: Mapping[str, Any], parents: Iterable[str] = (), version: int | None = None) -> str:
    """16 hex digits of SHA-256 over stage@version, parents in order, and the canonical spec.

    Args:
        version: of the stage; None: the present one.
    """
    text = canonical([f"{stage}@{STAGES[stage] if version is None else version}", list(parents), spec])
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]


def hash_bytes(*chunks: bytes) -> str:
    """SHA-256 over length-prefixed chunks, so that ("ab", "c") differs from ("a", "bc")."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(len(chunk).to_bytes(8, "little"))
        digest.update(chunk)
    return digest.hexdigest()


def hash_array(array: np.ndarray) -> str:
    """SHA-256 over dtype, shape and contents."""
    return hash_bytes(str(array.dtype).encode(), str(array.shape).encode(), np.ascontiguousarray(array).tobytes())


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, read in blocks."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hash_folder(folder: Path, memo: Path | None = None) -> str:
    """SHA-256 over the names and contents of a folder's files, hidden ones and prose left out.

    Args:
        memo: a JSON file that remembers file hashes by (path, size, mtime), since weights are many gigabytes. One that
            is damaged, or cannot be written, is no reason to fail: the files are read again.
    """
    known = read_memo(memo) if memo else {}
    hashes: dict[str, str] = {}
    chunks: list[bytes] = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix not in {".md", ".txt.lock"}):
        name = path.relative_to(folder).as_posix()
        if name.startswith("."):
            continue
        stat = path.stat()
        mark = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
        hashes[mark] = known.get(mark) or hash_file(path)
        chunks += [name.encode(), hashes[mark].encode()]
    if memo and hashes.keys() - known.keys():
        files = known | hashes
        with suppress(OSError):
            memo.parent.mkdir(parents=True, exist_ok=True)
            write_text(memo, json.dumps({"files": files, "sum": _memo_sum(files)}))
    return hash_bytes(*chunks)


def read_memo(memo: Path) -> dict[str, str]:
    """File hashes that `hash_folder` remembered; none where the memo is missing or does not fit its own sum."""
    try:
        content = json.loads(memo.read_text(encoding="utf-8"))
        files = content["files"]
        return files if content["sum"] == _memo_sum(files) else {}
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return {}


def _memo_sum(files: Mapping[str, str]) -> str:
    return hash_bytes(canonical(files).encode())
