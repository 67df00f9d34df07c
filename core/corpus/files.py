"""Files of a source: which images there are, and what identifies them without reading them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from core.corpus.images import SUFFIXES
from core.errors import CorpusError
from core.fingerprint import hash_bytes
from core.paths import NOT_REGULAR, kind, within

OUTSIDE = "outside the corpus folder; allow_outside = true in [corpus] allows it, for a corpus that you trust"


def given_path(path: str) -> Path:
    """The path as somebody wrote it, with `~` resolved where that is possible."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # ~name of a user whom nobody knows
        return Path(path)


def image_files(root: Path) -> list[Path]:
    """Everything in the folder and below that is called like an image, hidden ones left out, in order of their names.

    Also what is no regular file: it becomes a bad row, so that nobody wonders where it went.
    """
    images = (p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES and kind(p) != "folder")
    return sorted(p for p in images if not any(part.startswith(".") for part in p.relative_to(root).parts))


def refusal(root: Path, path: Path, allow_outside: bool) -> str | None:
    """Why a file of a corpus is not read: it is no regular file, or lies outside `root`; None where it is read.

    A file that is not there is left to whoever reads it.
    """
    what = kind(path)
    if what == "nothing":
        return None
    if not allow_outside and not within(root, path):
        return OUTSIDE
    return NOT_REGULAR if what == "other" else None


def check_table(root: Path, path: Path, allow_outside: bool) -> None:
    """CorpusError where a listing of a corpus is not read."""
    if reason := refusal(root, path, allow_outside):
        raise CorpusError(f"{path.name} is {reason}", got=path, todo="put a copy of the file into the folder")


def fingerprint(root: Path, files: Iterable[str], said: Iterable[str]) -> dict[str, str]:
    """Names, sizes and times of the files, and all that is said about them."""
    chunks = [text.encode(errors="surrogatepass") for text in said]
    for name in files:
        path, known = root / name, name.encode(errors="surrogatepass")
        facts = os.stat(path) if kind(path) == "file" else None
        chunks.append(known + f"|{facts.st_size}|{facts.st_mtime_ns}".encode() if facts else known)
    return {"files": hash_bytes(*chunks)}
