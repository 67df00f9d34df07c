"""Runs: which one is set beside another where none was chosen."""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace

import pytest

from core.store import Store
from dashboard import data

data_runs = import_module("dashboard.data.runs")  # the package has a function of that name
TASK_4, TASK_1 = ("demo", "", 4), ("demo", "", 1)


def cached(monkeypatch: pytest.MonkeyPatch, *rows: tuple[str, str, tuple[str, str, int], str]) -> None:
    """A cache that holds runs of that name, model, corpus and family."""
    choices = [data_runs.RunChoice(name, f"key-{name}", model, corpus) for name, model, corpus, _ in rows]
    families = {f"key-{name}": family for name, _, _, family in rows}
    monkeypatch.setattr(data_runs, "runs", lambda: choices)
    monkeypatch.setattr(data_runs, "run", lambda key: SimpleNamespace(family=families[key]))


@pytest.mark.demo
@pytest.mark.parametrize(
    ("name", "wanted"),
    [("demo", "demo-clip"), ("demo-captioner", "demo-clip"), ("demo-clip", "demo"), ("demo-task7", "demo-clip-task7")],
)
def test_demo_is_set_beside_the_model_of_the_other_family(name: str, wanted: str, demo_store: Store) -> None:
    assert data.counterpart(name) == wanted


def test_without_another_family_the_first_other_model_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    cached(
        monkeypatch,
        ("a", "one", TASK_4, "generative"),
        ("b", "one", TASK_4, "generative"),
        ("c", "two", TASK_4, "generative"),
        ("d", "three", TASK_4, "generative"),
    )
    assert data.counterpart("a") == "c"


def test_another_family_counts_only_on_the_same_corpus_and_task(monkeypatch: pytest.MonkeyPatch) -> None:
    cached(
        monkeypatch,
        ("a", "one", TASK_4, "generative"),
        ("b", "two", TASK_1, "contrastive"),
        ("c", "three", TASK_4, "generative"),
        ("d", "four", TASK_4, "contrastive"),
    )
    assert data.counterpart("a") == "d"
    assert data.counterpart("b") is None
