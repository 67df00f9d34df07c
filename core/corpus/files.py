"""Files of a source: which images there are, and what identifies them without reading them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from core.corpus.images import SUFFIXES
from core.fingerprint import hash_bytes


def image_files(root: Path) -> list[Path]:
    """All image files in the folder and below, hidden ones left out, in order of their names."""
    images = (p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    return sorted(p for p in images if not any(part.startswith(".") for part in p.relative_to(root).parts))


def fingerprint(root: Path, files: Iterable[str], said: Iterable[str]) -> dict[str, str]:
    """Names, sizes and times of the files, and all that is said about them."""
    chunks = [text.encode(errors="surrogatepass") for text in said]
    for name in files:
        path = root / name
        facts = path.stat() if path.is_file() else None
        chunks.append(f"{name}|{facts.st_size}|{facts.st_mtime_ns}".encode() if facts else name.encode())
    return {"files": hash_bytes(*chunks)}
