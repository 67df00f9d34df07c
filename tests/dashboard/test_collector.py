"""What modules made while they were imported is left out of later collections, once per wave of imports."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest
from dashboard_driver import show

from core.store import Store
from dashboard import collector


@pytest.fixture(autouse=True)
def thawed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(collector.imports, "modules", 0)
    gc.unfreeze()
    yield
    gc.unfreeze()


def test_a_page_leaves_its_imports_out_of_collections(small_store: Store) -> None:
    show("overview", run="small", other="none")
    assert gc.get_freeze_count() > 100_000


def test_objects_are_set_apart_again_only_after_new_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    collector.imports.set_apart()
    apart = gc.get_freeze_count()
    kept = [[] for _ in range(1000)]
    collector.imports.set_apart()
    assert gc.get_freeze_count() <= apart  # some of them died
    for number in range(collector.MORE_MODULES):
        monkeypatch.setitem(sys.modules, f"a_new_module_{number}", ModuleType("new"))
    collector.imports.set_apart()
    assert gc.get_freeze_count() >= apart + len(kept)


def test_garbage_made_later_is_still_collected() -> None:
    collector.imports.set_apart()
    cycle: list[object] = []
    cycle.append(cycle)
    del cycle
    assert gc.collect() >= 1
