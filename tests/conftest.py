"""What tests share: a cache with the demo runs, made once per session by the same code as `retrieval-lens demo`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture(scope="session")
def demo_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a cache that holds the demo runs. RETRIEVAL_LENS_TEST_CACHE keeps one between sessions."""
    from core.demo.runs import make_demo
    from core.progress import NoProgress
    from core.store import Store

    kept = os.environ.get("RETRIEVAL_LENS_TEST_CACHE")
    root = Path(kept) if kept else tmp_path_factory.mktemp("demo-cache")
    make_demo(Store(root), NoProgress())
    return root


@pytest.fixture
def demo_store(demo_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """The demo cache as the default store of this test."""
    from core.store import Store

    monkeypatch.setenv("RETRIEVAL_LENS_CACHE", str(demo_cache))
    yield Store(demo_cache)


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real photographs, checkpoints and parity data, where one is named."""
    folder = os.environ.get("RETRIEVAL_LENS_TEST_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("RETRIEVAL_LENS_TEST_DATA names no folder")
    return Path(folder)
