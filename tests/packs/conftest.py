"""An archive of the golden run, and what somebody with bad intentions makes of one."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.fingerprint import canonical
from core.packs.archive import BLOCK
from tests.store.conftest import pristine, root, small_disk

__all__ = ["archive", "empty", "pristine", "root", "small_disk"]


@pytest.fixture(scope="session")
def archive(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden run with its answers, packed."""
    from core.packs.pack import pack
    from core.run import open_run
    from core.store import Store

    out = tmp_path_factory.mktemp("archive") / "golden.lens"
    pack(open_run("golden", Store(pristine)), out)
    return out


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, the default one of this test."""
    place = tmp_path / "elsewhere"
    place.mkdir()
    monkeypatch.setenv("RETRIEVAL_LENS_CACHE", str(place))
    return place


Members = list[tuple[tarfile.TarInfo, bytes]]


def members(archive: Path) -> Members:
    """Every member but the index, with its content."""
    with tarfile.open(archive, "r:") as tar:
        return [(m, tar.extractfile(m).read()) for m in tar if m.name != "pack.json"]  # type: ignore[union-attr]


def index_of(archive: Path) -> dict[str, Any]:
    with tarfile.open(archive, "r:") as tar:
        return json.loads(tar.extractfile("pack.json").read())  # type: ignore[union-attr]


def member(name: str, data: bytes = b"", /, **more: Any) -> tuple[tarfile.TarInfo, bytes]:
    """A member as this project writes them, but for what is said otherwise."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o644
    for field, value in more.items():
        setattr(info, field, value)
    return info, data


def listed(name: str, data: bytes) -> list[Any]:
    """Its line in an index."""
    return [name, len(data), hashlib.sha256(data).hexdigest()]


def forged(path: Path, index: dict[str, Any], content: Members) -> Path:
    """An archive of this index, its seal made to fit: sums are no signatures."""
    bare = {name: value for name, value in index.items() if name != "seal"}
    seal = hashlib.sha256(canonical(bare).encode()).hexdigest()
    text = json.dumps(bare | {"seal": seal}, indent=0, ensure_ascii=False).encode() + b"\n"
    out = io.BytesIO()
    for info, data in [member("pack.json", text), *content]:
        out.write(info.tobuf(tarfile.GNU_FORMAT, "utf-8", "strict"))
        out.write(data + bytes(-len(data) % BLOCK))
    out.write(bytes(2 * BLOCK))
    path.write_bytes(out.getvalue())
    return path


def changed(archive: Path, path: Path, change: Callable[[dict[str, Any], Members], None]) -> Path:
    """The archive after `change(index, members)`, with a seal that fits."""
    index, content = index_of(archive), members(archive)
    change(index, content)
    return forged(path, index, content)
