"""What tests share, each made once per session: the demo runs, by the same code as `retrieval-lens demo`, and the
same with 50 queries.

Most tests compare an answer with numpy on the same run, or look at what a page holds: they take `small_runs` or
`small_store`. A test of the demo's own numbers takes `demo_runs` or `demo_store` and has the marker `demo`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from core.run import Run
    from core.store import Store

QUERIES = 50
"""Of a small run. Its pool and its support split are as much smaller as it is."""

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of the wheel go first: one makes the demo's runs from nothing, and all others use what it made."""
    items.sort(key=lambda item: item.get_closest_marker("makes_demo") is None)


@pytest.fixture(scope="session")
def demo_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the demo's cache, empty or as full as it is by now. RETRIEVAL_LENS_TEST_CACHE keeps one between
    sessions."""
    kept = os.environ.get("RETRIEVAL_LENS_TEST_CACHE")
    return Path(kept) if kept else tmp_path_factory.mktemp("demo-cache")


@pytest.fixture(scope="session")
def demo_cache(demo_root: Path) -> Path:
    """Folder of a cache that holds the demo runs."""
    from core.demo.runs import make_demo
    from core.progress import NoProgress
    from core.store import Store

    make_demo(Store(demo_root), NoProgress())
    return demo_root


@pytest.fixture(scope="session")
def demo_runs(demo_cache: Path) -> Mapping[str, Run]:
    """The demo runs by name, opened once: what one test fits or ranks in memory is there for the next.

    A test that changes constants behind an answer opens a run of its own.
    """
    from core.demo.runs import demo_specs
    from core.run import open_run
    from core.store import Store

    return {spec.run_name: open_run(spec.run_name, Store(demo_cache)) for spec in demo_specs()}


@pytest.fixture
def demo_store(demo_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """The demo cache as the default store of this test."""
    from core.store import Store

    monkeypatch.setenv("RETRIEVAL_LENS_CACHE", str(demo_cache))
    yield Store(demo_cache)


@pytest.fixture(scope="session")
def small_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a cache with `small`, `small-task1`, `small-task7`, `small-mixed` (demo-mllm) and `small-clip`
    (demo-clip)."""
    from core import pipeline
    from core.demo.runs import demo_specs
    from core.progress import NoProgress
    from core.store import Store

    kept = os.environ.get("RETRIEVAL_LENS_TEST_CACHE")
    root = Path(kept) / "small" if kept else tmp_path_factory.mktemp("small-cache")
    for spec in demo_specs():
        if spec.name in ("demo", "demo-task1", "demo-task7", "demo-mixed", "demo-clip"):
            name = spec.name.replace("demo", "small")
            pipeline.run(
                replace(spec, name=name, corpus=replace(spec.corpus, limit=QUERIES)), Store(root), NoProgress()
            )
    return root


@pytest.fixture
def small_store(small_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The small runs as the default store of this test."""
    from core.store import Store

    monkeypatch.setenv("RETRIEVAL_LENS_CACHE", str(small_cache))
    return Store(small_cache)


@pytest.fixture(scope="session")
def small_runs(small_cache: Path) -> Mapping[str, Run]:
    """The small runs by name, opened once."""
    from core.run import list_runs
    from core.store import Store

    # Newest first: in a cache that was kept, the newest run of a name counts, as it does for `open_run`.
    return {run.name: run for run in reversed(list_runs(Store(small_cache)))}


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real photographs, checkpoints and parity data, where one is named."""
    folder = os.environ.get("RETRIEVAL_LENS_TEST_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("RETRIEVAL_LENS_TEST_DATA names no folder")
    return Path(folder)
