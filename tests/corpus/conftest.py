"""Folders of pictures made on the spot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pictures import encoded, picture

from core.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


@pytest.fixture
def photos(tmp_path: Path) -> Callable[..., Path]:
    """A folder with `number` pictures p0.png, p1.png, ... and the files given by name."""

    def make(number: int, **files: str) -> Path:
        root = tmp_path / "photos"
        root.mkdir(exist_ok=True)
        for n in range(number):
            (root / f"p{n}.png").write_bytes(encoded(picture(n)))
        for name, text in files.items():
            (root / name.replace("__", ".")).write_text(text, encoding="utf-8")
        return root

    return make
