"""Encoding with a fake model: order, batches, bounded memory, resume, cache hits proven by counting calls."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from core import encode
from core.batches import AHEAD
from core.encode import encode_part
from core.errors import ModelError
from core.inventory import outliers
from core.models import ModelFacts
from core.models.outliers import MEASURE, OUTLIER_RATIO
from core.models.stopwatch import Stopwatch
from core.progress import NoProgress
from core.records import EmbeddingView, Item
from core.store import Folder, Store

D, BATCH_TOKENS = 3, 24
FACTS = ModelFacts("fake", "chat", "k" * 16, "/nowhere", "", "fake", D, 2, "float32", "study")
VIEWS = (EmbeddingView(), EmbeddingView(1, "max", "no-image"))


class Table:
    """Items whose text length depends on the row; every fourth one is an image."""

    def __init__(self, rows: int) -> None:
        self.content = f"content of {rows}"
        self.modality = np.array(["image" if row % 4 == 3 else "text" for row in range(rows)], dtype="<U10")
        self.texts = [None if row % 4 == 3 else "x" * (row * 7 % 11 + 1) for row in range(rows)]
        self.read: list[int] = []

    def __len__(self) -> int:
        return len(self.texts)

    def item(self, row: int) -> Item:
        self.read.append(row)
        return Item(str(row), self.modality[row], self.texts[row])


class Model:
    """Embeds item i in view v as (i, layer of v, length); counts what it is given and can break after some batches.

    Norm ratio of item i at layer l is i + l, and it has i tokens that are outliers where that exceeds 20.
    """

    facts, hidden_size = FACTS, D

    def __init__(self, breaks_at: int | None = None) -> None:
        self.batches: list[list[int]] = []
        self.breaks_at = breaks_at

    def lengths(self, items: Sequence[Item]) -> list[int]:
        return [len(item.text) if item.text else 5 for item in items]

    def embed(self, items: Sequence[Item], views: Sequence[EmbeddingView]) -> dict[EmbeddingView, np.ndarray]:
        if self.breaks_at is not None and len(self.batches) == self.breaks_at:
            raise KeyboardInterrupt
        self.batches.append([int(item.id) for item in items])
        return {v: np.array([self.row(item, v) for item in items], np.float32) for v in views}

    def row(self, item: Item, view: EmbeddingView) -> tuple[int, ...]:
        if view.pooling == MEASURE:
            return int(item.id) + view.layer, int(item.id) * (int(item.id) + view.layer > OUTLIER_RATIO)
        return int(item.id), view.layer, *self.lengths([item])


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode, "WINDOW", 16)


def run(table: Table, model: Model, store: Store) -> Folder:
    return encode_part(table, FACTS, lambda: model, VIEWS, store, NoProgress(), BATCH_TOKENS)  # type: ignore[arg-type]


def test_rows_come_back_in_the_order_of_the_table(tmp_path: Path) -> None:
    table, model = Table(50), Model()
    folder = run(table, model, Store(tmp_path))
    lengths = model.lengths([table.item(row) for row in range(50)])
    for view in VIEWS:
        expected = np.array([(row, view.layer, n) for row, n in enumerate(lengths)], np.float32)
        assert np.array_equal(folder.array(str(view)), expected)
        assert folder.array(str(view)).dtype == np.float32
    assert folder.array("n_tokens").tolist() == lengths
    assert folder.facts["tokens"] == sum(lengths)
    assert folder.facts["views"] == [str(view) for view in VIEWS]


def test_one_pass_in_batches_of_bounded_size_sorted_by_length(tmp_path: Path) -> None:
    table, model = Table(50), Model()
    run(table, model, Store(tmp_path))
    assert sorted(row for batch in model.batches for row in batch) == list(range(50))
    for batch in model.batches:
        lengths = model.lengths([table.item(row) for row in batch])
        assert max(lengths) * len(batch) <= BATCH_TOKENS
        assert lengths == sorted(lengths, reverse=True)
        assert len({str(table.modality[row]) for row in batch}) == 1
        assert len({row // 16 for row in batch}) == 1


def test_items_are_read_once_and_at_most_two_batches_ahead(tmp_path: Path) -> None:
    table = Table(100)
    ahead: list[int] = []

    class Watching(Model):
        def embed(self, items: Sequence[Item], views: Sequence[EmbeddingView]) -> dict[EmbeddingView, np.ndarray]:
            found = super().embed(items, views)
            time.sleep(0.002)
            ahead.append(len(table.read) - sum(map(len, self.batches)))
            return found

    run(table, model := Watching(), Store(tmp_path))
    assert sorted(table.read) == list(range(100))
    # A batch is whole once the item behind it has been read.
    assert max(ahead) <= AHEAD * max(map(len, model.batches)) + 1


class Preparing(Model):
    """Reads words in `prepare`; the rest of the class is called by what it returns."""

    def __init__(self, breaks_at: int | None = None) -> None:
        super().__init__(breaks_at)
        self.watch = Stopwatch()
        self.prepared: list[str] = []
        """Names of the threads that prepared."""

    def prepare(self, items: Sequence[Item], views: Sequence[EmbeddingView]) -> Callable[[], dict[EmbeddingView, Any]]:
        self.prepared.append(threading.current_thread().name)
        return lambda: self.embed(items, views)


def test_the_next_batch_is_prepared_while_the_model_computes(tmp_path: Path) -> None:
    waited: list[bool] = []

    class Slow(Preparing):
        def embed(self, items: Sequence[Item], views: Sequence[EmbeddingView]) -> dict[EmbeddingView, np.ndarray]:
            wanted, until = len(self.batches) + 2, time.monotonic() + 20
            while len(self.prepared) < wanted and time.monotonic() < until and not waited:
                time.sleep(0.001)
            waited.append(len(self.prepared) >= wanted)
            return super().embed(items, views)

    folder = run(Table(50), model := Slow(), Store(tmp_path / "one"))
    assert waited[0]  # without a second thread the first batch would have waited for ever
    assert not {name for name in model.prepared if name == threading.main_thread().name}
    plain = run(Table(50), Model(), Store(tmp_path / "two"))
    assert all(np.array_equal(folder.array(str(view)), plain.array(str(view))) for view in VIEWS)


@pytest.mark.parametrize("error", [ValueError("a picture of no size"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_what_the_thread_raises_ends_the_run_which_goes_on_later(tmp_path: Path, error: BaseException) -> None:
    class Broken(Preparing):
        def prepare(self, items: Sequence[Item], views: Sequence[EmbeddingView]) -> Any:
            if any(item.id == "40" for item in items):
                raise error
            return super().prepare(items, views)

    threads = threading.active_count()
    with pytest.raises(type(error)):
        run(Table(50), broken := Broken(), Store(tmp_path))
    assert threading.active_count() == threads
    assert {row for batch in broken.batches for row in batch} >= set(range(32))  # two windows are whole
    folder = run(Table(50), model := Preparing(), Store(tmp_path))
    assert {row for batch in model.batches for row in batch} == set(range(32, 50))
    assert folder.array(str(VIEWS[0]))[:, 0].tolist() == list(range(50))


def test_a_batch_whose_pictures_do_not_fit_is_halved_too(tmp_path: Path) -> None:
    class Small(Preparing):
        def prepare(self, items: Sequence[Item], views: Sequence[EmbeddingView]) -> Any:
            if len(items) > 2:
                raise MemoryError
            return super().prepare(items, views)

        def embed(self, items: Sequence[Item], views: Sequence[EmbeddingView]) -> dict[EmbeddingView, np.ndarray]:
            if len(items) > 2:
                raise MemoryError
            return super().embed(items, views)

    folder = run(Table(12), Small(), Store(tmp_path))
    assert folder.array(str(VIEWS[0]))[:, 0].tolist() == list(range(12))


def test_an_item_longer_than_a_batch_goes_alone(tmp_path: Path) -> None:
    table, model = Table(3), Model()
    table.texts[1] = "y" * 100
    folder = run(table, model, Store(tmp_path))
    assert [1] in model.batches
    assert folder.array("n_tokens")[1] == 100


def test_batches_shrink_to_the_memory_that_is_free_and_the_run_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    per_token = FACTS.hidden_size * ((len({view.layer for view in VIEWS}) + 16) * 4 + 8 * 4)
    monkeypatch.setattr("core.models.device.free_gib", lambda: 2 * 12 * per_token / 2**30)  # half of it: 12 tokens
    said: list[str] = []
    monkeypatch.setattr(NoProgress, "say", lambda self, text: said.append(text))
    table, model = Table(50), Model()
    run(table, model, Store(tmp_path))
    padded = [
        max(lengths) * len(lengths) for lengths in (model.lengths(list(map(table.item, b))) for b in model.batches)
    ]
    assert max(padded) <= 12 < BATCH_TOKENS
    assert any("at most 12 tokens" in line and f"{BATCH_TOKENS} (batch_tokens)" in line for line in said)


def test_an_interrupted_run_goes_on_with_the_next_window(tmp_path: Path) -> None:
    store, whole = Store(tmp_path / "a"), Model()
    expected = run(Table(50), whole, Store(tmp_path / "b"))
    first = Model(breaks_at=10)
    with pytest.raises(KeyboardInterrupt):
        run(Table(50), first, store)
    assert store.folders("encode") == []
    second = Model()
    folder = run(Table(50), second, store)
    finished = {row // 16 for batch in first.batches for row in batch} - {first.batches[-1][0] // 16}
    assert finished
    assert {row // 16 for batch in second.batches for row in batch}.isdisjoint(finished)
    for view in VIEWS:
        assert np.array_equal(folder.array(str(view)), expected.array(str(view)))
    assert folder.facts["tokens"] == expected.facts["tokens"]
    assert sorted(path.name for path in folder.path.iterdir()) == sorted(path.name for path in expected.path.iterdir())


def test_the_cache_is_used_without_loading_the_model(tmp_path: Path) -> None:
    def never() -> Model:
        raise AssertionError("the model was loaded")

    store = Store(tmp_path)
    folder = run(Table(20), Model(), store)
    again = encode_part(Table(20), FACTS, never, VIEWS, store, NoProgress(), 999)  # type: ignore[arg-type]
    assert again.path == folder.path


def test_other_content_or_views_are_other_folders(tmp_path: Path) -> None:
    store = Store(tmp_path)
    keys = {run(Table(n), Model(), store).key for n in (20, 21)}
    keys.add(encode_part(Table(20), FACTS, Model, VIEWS[:1], store, NoProgress()).key)  # type: ignore[arg-type]
    assert len(keys) == 3


def test_a_part_without_items(tmp_path: Path) -> None:
    folder = run(Table(0), Model(), Store(tmp_path))
    assert folder.array(str(VIEWS[0])).shape == (0, D)
    assert folder.array("n_tokens").shape == (0,)


class Heard(NoProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def test_outliers_are_counted_for_every_layer_and_said(tmp_path: Path) -> None:
    store, heard = Store(tmp_path), Heard()
    with pytest.raises(KeyboardInterrupt):
        encode_part(Table(30), FACTS, lambda: Model(breaks_at=6), VIEWS, store, heard, BATCH_TOKENS)  # type: ignore[arg-type]
    assert heard.lines == []
    folder = encode_part(Table(30), FACTS, Model, VIEWS, store, heard, BATCH_TOKENS)  # type: ignore[arg-type]
    assert folder.array("norm_ratio").tolist() == [row - 1 for row in range(30)]
    assert folder.facts["outlier_threshold"] == 20
    assert folder.facts["outliers"] == [  # the last layer is -1: rows 22 to 29; layer 1: rows 20 to 29
        {"layer": -1, "outlier_items": 8, "outlier_tokens": sum(range(22, 30)), "largest_norm_ratio": 28.0},
        {"layer": 1, "outlier_items": 10, "outlier_tokens": sum(range(20, 30)), "largest_norm_ratio": 30.0},
    ]
    assert len(heard.lines) == 1
    assert "204 in 8 items, up to 28 times" in heard.lines[0]
    assert 'masks = ["no-outliers"]' in heard.lines[0]


def test_the_card_of_a_run_shows_them(tmp_path: Path) -> None:
    folder = encode_part(Table(30), FACTS, Model, VIEWS, Store(tmp_path), NoProgress(), BATCH_TOKENS)  # type: ignore[arg-type]
    older = replace(folder, manifest=folder.manifest | {"facts": {}})  # made before they were measured
    run_of = SimpleNamespace(
        parts=["queries", "candidates"], encode_folder={"queries": folder, "candidates": older}.get
    )
    assert outliers(run_of) == [  # type: ignore[arg-type]
        {
            "setting": "outlier tokens, queries, layer -1",
            "value": "204 tokens of 8 items above 20 x the median norm; largest 28.0 x",
        },
        {
            "setting": "outlier tokens, queries, layer 1",
            "value": "245 tokens of 10 items above 20 x the median norm; largest 30.0 x",
        },
    ]


def test_without_outliers_nothing_is_said(tmp_path: Path) -> None:
    heard = Heard()
    folder = encode_part(Table(9), FACTS, Model, VIEWS, Store(tmp_path), heard, BATCH_TOKENS)  # type: ignore[arg-type]
    assert heard.lines == []
    assert [one["outlier_tokens"] for one in folder.facts["outliers"]] == [0, 0]


def test_nothing_is_measured_of_a_dual_encoder(tmp_path: Path) -> None:
    class Dual(Model):
        facts = replace(FACTS, kind="dual")

        def row(self, item: Item, view: EmbeddingView) -> tuple[int, ...]:
            assert view.pooling != MEASURE
            return super().row(item, view)

    folder = encode_part(Table(9), Dual.facts, Dual, VIEWS[:1], Store(tmp_path), NoProgress(), BATCH_TOKENS)  # type: ignore[arg-type]
    assert folder.facts["outliers"] == []
    assert "norm_ratio.npy" not in folder.manifest["files"]


def test_the_threshold_is_in_the_key_only_where_a_mask_uses_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    views = {"all": VIEWS[:1], "no-outliers": (EmbeddingView(mask="no-outliers"),)}

    def keys() -> dict[str, str]:
        return {
            mask: encode_part(Table(3), FACTS, Model, chosen, Store(tmp_path), NoProgress()).key  # type: ignore[arg-type]
            for mask, chosen in views.items()
        }

    before = keys()
    monkeypatch.setattr(encode, "OUTLIER_RATIO", 10.0)
    after = keys()
    assert (after["all"], after["no-outliers"] != before["no-outliers"]) == (before["all"], True)


OUT_OF_MEMORY = [
    torch.OutOfMemoryError(),
    RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("MPS backend out of memory (MPS allocated: 9.00 GB)"),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."
    ),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    MemoryError(),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: str(error)[:20] or type(error).__name__)
def test_out_of_memory_halves_the_batch_and_says_so(tmp_path: Path, error: Exception) -> None:
    class Small(Model):
        def embed(self, items: Sequence[Item], views: Sequence[EmbeddingView]) -> dict[EmbeddingView, np.ndarray]:
            if len(items) > 2:
                raise error
            return super().embed(items, views)

    heard = Heard()
    folder = encode_part(Table(12), FACTS, Small, VIEWS, Store(tmp_path), heard, BATCH_TOKENS)  # type: ignore[arg-type]
    assert folder.array(str(VIEWS[0]))[:, 0].tolist() == list(range(12))
    assert folder.array("norm_ratio").tolist() == [row - 1 for row in range(12)]
    assert "out of memory" in heard.lines[0]


def test_an_item_that_does_not_fit_alone_is_named(tmp_path: Path) -> None:
    class Full(Model):
        def embed(self, items: Sequence[Item], views: Sequence[EmbeddingView]) -> dict[EmbeddingView, np.ndarray]:
            raise torch.OutOfMemoryError

    with pytest.raises(ModelError, match="item '[0-9]+' alone does not fit into memory; got [0-9]+ tokens"):
        run(Table(4), Full(), Store(tmp_path))


def test_another_failure_is_no_want_of_memory(tmp_path: Path) -> None:
    class Broken(Model):
        def embed(self, items: Sequence[Item], views: Sequence[EmbeddingView]) -> dict[EmbeddingView, np.ndarray]:
            raise RuntimeError("The size of tensor a (3) must match the size of tensor b (4)")

    with pytest.raises(RuntimeError, match="must match"):
        run(Table(4), Broken(), Store(tmp_path))
