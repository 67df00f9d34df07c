"""Training that fits its data: steps from the number of states, states on disk, time said beforehand, no NaN kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from core import inventory
from core.config import STEPS_IN_KEYS, CorpusSpec, ModelSpec, RunSpec, SaeSpec
from core.fingerprint import stage_key
from core.models import ModelFacts
from core.progress import NoProgress
from core.records import LAST_STATE, EmbeddingView, Item, StatePlace, TokenStates
from core.run import Run
from core.sae import obtain, states, trained
from core.sae import train as training
from core.sae.files import read_weight
from core.sae.stream import Order, Stream, token_rows
from core.store import Draft, Folder, Store

D, N = 8, 20
VIEW = EmbeddingView()
CHAT = ModelFacts("tiny", "chat", "0" * 16, "/nowhere", "", "fake", D, 2, "float32", "study")
LEFT_OUT = SaeSpec(width=24, k=3, batch=16, learning_rate=1e-2)


class Model:
    """Item i has i % 4 + 1 tokens, one of them a template's; counts the items it reads."""

    def __init__(self, breaks_after: int = 10**9) -> None:
        self.read, self.breaks_after = 0, breaks_after

    def __call__(self) -> Model:
        return self

    def token_states(self, items: list[Item], place: StatePlace = LAST_STATE) -> TokenStates:
        if self.read + len(items) > self.breaks_after:
            raise KeyboardInterrupt
        self.read += len(items)
        counts = [int(item.id) % 4 + 1 for item in items]
        rows = [np.random.default_rng(int(item.id)).normal(size=(n, D)) for item, n in zip(items, counts, strict=True)]
        roles: list[Any] = [role for n in counts for role in ["template", *["text"] * (n - 1)]]
        return TokenStates(
            np.concatenate(rows).astype(np.float32), np.repeat(np.arange(len(items)), counts), [], roles, []
        )


class Said(NoProgress):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


class _Table:
    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def item(self, at: int) -> Item:
        return Item(str(at), "text", "x")


def get(
    spec: SaeSpec, store: Store, model: Model, n: int = N, progress: NoProgress | None = None, bad: bool = False
) -> tuple[Folder, ...]:
    def write(draft: Draft) -> None:
        rows = np.random.default_rng(2).normal(size=(n, D)).astype(np.float32)
        draft.save(str(VIEW), rows * np.nan if bad else rows)

    corpus = SimpleNamespace(name="made", items=lambda part: _Table(n))
    encoded = {"queries": store.build("encode", "tiny", {"n": n, "bad": bad}, (), write)}
    return obtain(spec, corpus, CHAT, model, encoded, VIEW, store, progress or NoProgress())  # type: ignore[arg-type]


def source(model: Model, n: int = N, view: EmbeddingView = VIEW) -> states.Source:
    return states.Source(lambda rows: [Item(str(i), "text", "x") for i in rows], n, model, D, view)  # type: ignore[arg-type]


# -- steps -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "batch", "steps"),
    [
        (2_000, 4096, 500),  # 10 passes would be 5 steps
        (409_600, 4096, 1000),
        (409_601, 4096, 1001),  # rounded up
        (12_000_000, 4096, 4000),
    ],
)
def test_steps_are_ten_passes_within_bounds(rows: int, batch: int, steps: int) -> None:
    assert trained.steps_for(rows, batch) == steps


def test_steps_left_out_follow_from_the_states(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """20 items of 1, 2, 3, 4, 1 ... tokens: 50 states, or 100 rows where as many pooled embeddings go with them."""
    monkeypatch.setattr(trained, "LEAST_STEPS", 3)
    for data, rows in (("tokens", 50), ("mixture", 100), ("pooled", 20)):
        (folder,) = get(replace(LEFT_OUT, data=data), Store(tmp_path / data), Model())
        assert folder.facts["training"]["steps"] == -(-10 * rows // 16)
        assert folder.facts["steps_from"].startswith(f"10 passes over {rows} rows in batches of 16")
    (told,) = get(replace(LEFT_OUT, steps=7), Store(tmp_path / "tokens"), Model())
    assert (told.facts["training"]["steps"], told.facts["steps_from"]) == (7, "the spec")


def test_keys_are_those_of_the_time_when_steps_were_a_number(tmp_path: Path) -> None:
    def spec(**sae: Any) -> RunSpec:
        return RunSpec(corpus=CorpusSpec(source="demo"), model=ModelSpec(name="demo-mllm"), sae=SaeSpec(**sae))

    for source, key in (("train", "24acbcd7958734ac"), ("shipped", "3de8f10689306df3"), ("none", "0b3fa02564855b21")):
        assert stage_key("run", spec(source=source).keyed()) == key, "the key of the release before"
        assert spec(source=source).keyed() == spec(source=source, steps=STEPS_IN_KEYS).keyed()
    assert spec(source="shipped") == spec(source="shipped", steps=STEPS_IN_KEYS)
    assert spec(steps=300).keyed() != spec().keyed()
    (trained_before,) = get(replace(LEFT_OUT, steps=120), Store(tmp_path), Model())
    assert trained_before.key == "e37a45d17736f903"


def test_a_run_remembers_that_steps_were_left_out(tmp_path: Path) -> None:
    """Its manifest holds a number in their place: a run made again from it must not train another SAE."""
    spec = RunSpec(corpus=CorpusSpec(source="demo"), model=ModelSpec(name="demo-mllm"))

    def made(left_out: bool) -> Run:
        def write(draft: Draft) -> None:
            draft.facts |= {"steps_left_out": left_out}

        store = Store(tmp_path / str(left_out))
        return Run(store.build("run", "x", spec.keyed(), (), write), store)

    assert made(True).spec == spec
    assert made(False).spec.sae.steps == STEPS_IN_KEYS


# -- states on disk --------------------------------------------------------------------------------------------------


def test_a_small_set_runs_its_model_once_however_long_the_training(tmp_path: Path) -> None:
    model, store = Model(), Store(tmp_path)
    get(replace(LEFT_OUT, steps=120), store, model)
    assert model.read == N
    get(replace(LEFT_OUT, steps=130, k=2), store, model)
    assert model.read == N, "a second training finds the states"
    (kept,) = store.folders("states")
    assert (kept.facts["states"], kept.facts["kept"]) == (50, True)


def test_states_on_disk_are_those_the_model_gives_in_the_same_order(tmp_path: Path) -> None:
    view = replace(VIEW, mask="text")
    live, stored = (
        source(Model(), 150, view),
        states.obtain(source(Model(), 150, view), "x", (), Store(tmp_path), NoProgress()),
    )
    assert stored.facts["states"] == sum(i % 4 for i in range(150))
    made = token_rows(Model(), live.items, Order(150, 3), view)  # type: ignore[arg-type]
    kept = states.stored_rows(stored, Order(150, 3))
    for _ in range(5):  # over the end of a round
        np.testing.assert_array_equal(next(kept), next(made))


def test_training_from_disk_is_training_from_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, model = replace(LEFT_OUT, steps=30), Model()
    (stored,) = get(spec, Store(tmp_path / "disk"), Model())
    monkeypatch.setattr(states, "STORED_BYTES", 0)
    (live,) = get(spec, Store(tmp_path / "live"), model)
    assert model.read > 3 * N and live.key == stored.key
    assert np.array_equal(read_weight(live.path, "W_enc"), read_weight(stored.path, "W_enc"))


@pytest.mark.parametrize("n", [20, 300])
def test_a_large_corpus_keeps_the_number_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    """300 items have 750 states: 64 of them, drawn evenly, say so to a tenth; 20 are counted one by one."""
    monkeypatch.setattr(states, "STORED_BYTES", 4 * D * 10)
    folder = states.obtain(source(Model(), n), "x", (), Store(tmp_path), NoProgress())
    assert not folder.facts["kept"] and not list(folder.path.glob("*.npy"))
    assert folder.facts["states"] == pytest.approx(2.5 * n, rel=0.1 if n > 64 else 0)


def test_an_interrupted_build_goes_on_after_its_last_whole_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states, "CALLS_PER_SHARD", 1)
    store = Store(tmp_path / "halves")
    with pytest.raises(KeyboardInterrupt):
        states.obtain(source(Model(breaks_after=64 + 128), 300), "x", (), store, NoProgress())
    model = Model()
    halves = states.obtain(source(model, 300), "x", (), store, NoProgress())
    assert model.read == 300 - 128
    whole = states.obtain(source(Model(), 300), "x", (), Store(tmp_path / "whole"), NoProgress())
    assert {n: e["sha256"] for n, e in whole.manifest["files"].items()} == {
        n: e["sha256"] for n, e in halves.manifest["files"].items()
    }


def test_other_masks_and_layers_are_other_states(tmp_path: Path) -> None:
    store = Store(tmp_path)
    views = (
        VIEW,
        replace(VIEW, mask="text"),
        replace(VIEW, layer=1),
        replace(VIEW, pooling="last"),
        replace(VIEW, norm="before"),
    )
    keys = [states.obtain(source(Model(), view=view), "x", ("p",), store, NoProgress()).key for view in views]
    assert len(set(keys)) == 4 and keys[3] == keys[0]
    found = states.find(VIEW, ("p",), store)
    assert found is not None and found.key == keys[0] == stage_key("states", {"layer": -1, "mask": "all"}, ("p",))


# -- time and loss ---------------------------------------------------------------------------------------------------


def test_a_training_says_beforehand_how_long_it_takes_and_what_is_shorter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = Said()
    monkeypatch.setattr(training, "seconds_per_step", lambda plans, stream: 1.5)
    get(replace(LEFT_OUT, steps=400), Store(tmp_path / "a"), Model(), progress=said)
    (line,) = said.lines
    assert "24 x 3: 400 steps, about 10 min (1.5 s a step, measured)" in line
    assert "steps = 100 under [sae] takes about 2 min" in line
    get(replace(LEFT_OUT, steps=20), Store(tmp_path / "b"), Model(), progress=said)
    assert len(said.lines) == 1, "a training of seconds needs no estimate"


def test_the_rate_is_measured_and_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = replace(LEFT_OUT, steps=training.SHORT)
    (timed,) = get(spec, Store(tmp_path / "timed"), Model())
    monkeypatch.setattr(training, "SHORT", 10**9)
    (untimed,) = get(spec, Store(tmp_path / "untimed"), Model())
    assert np.array_equal(read_weight(timed.path, "W_dec"), read_weight(untimed.path, "W_dec"))

    order = Order(50, 0)
    order.take(7)
    rows = np.random.default_rng(0).normal(size=(50, D)).astype(np.float32)

    def endless() -> Any:
        while True:
            yield rows[order.take(16)]

    stream = Stream(endless, (order,), D, 16, normalise=False)
    plan = trained.plans(LEFT_OUT, CHAT, 400)[0]
    assert 0 < training.seconds_per_step({plan.name: plan}, stream) < 60
    assert stream.positions == [7]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "1 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (9000, "2.5 h")]
)
def test_durations(seconds: float, words: str) -> None:
    assert training.duration(seconds) == words


@pytest.mark.parametrize("steps", [12, 120])
def test_a_loss_that_is_not_finite_stops_with_one_line_and_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0)
    monkeypatch.setattr(training, "SEGMENT", 5)
    once, seen = training._point, []

    def poisoned(trainer: Any, output: Any, step: int) -> Any:
        seen.append(step)
        if step >= 5:  # a checkpoint is there by now
            with torch.no_grad():
                trainer.sae.W_enc.fill_(float("nan"))
        return once(trainer, output, step)

    monkeypatch.setattr(training, "LOG_EVERY", 1)
    monkeypatch.setattr(training, "_point", poisoned)
    store = Store(tmp_path)
    spec = replace(LEFT_OUT, steps=steps, ks=(2,))
    with pytest.raises(
        training.LossNotFinite, match=r"its loss is not finite; got nan with learning_rate = 0.01; next: set"
    ) as caught:
        get(spec, store, Model())
    assert "\n" not in str(caught.value) and seen
    assert store.folders("sae") == [] and list((tmp_path / "sae").glob(".work--*/**")) == []


def test_embeddings_that_are_not_finite_stop_it_at_once(tmp_path: Path) -> None:
    with pytest.raises(training.LossNotFinite, match="step 0 of 9"):
        get(replace(LEFT_OUT, steps=9, data="pooled"), Store(tmp_path), Model(), bad=True)


def test_states_go_with_the_last_run_that_uses_their_embeddings(tmp_path: Path) -> None:
    store = Store(tmp_path)
    get(replace(LEFT_OUT, steps=5), store, Model())
    (encoded,), (sae,) = store.folders("encode"), store.folders("sae")

    def write(draft: Draft) -> None:
        draft.save("nothing", np.zeros(1))

    runs = [Run(store.build("run", name, {"name": name}, (encoded.key, sae.key), write), store) for name in "ab"]
    assert "states@1" in {folder.manifest["stage"] for folder in inventory.used_folders(runs[0])}
    inventory.remove(runs[0])
    assert len(store.folders("states")) == 1, "another run was made from the same embeddings"
    inventory.remove(runs[1])
    assert list(store.all_folders()) == []
