"""An interrupted training goes on: same steps, same figures, same weights as one that was not interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from core.progress import NoProgress
from core.records import LAST_STATE, EmbeddingView, Item, StatePlace, TokenStates
from core.sae import checkpoint
from core.sae import train as training
from core.sae.architectures import TrainingPlan
from core.sae.files import read_weight
from core.sae.stream import Order, Rows, Stream, alternate, pooled_rows, token_rows

D, C, K, BATCH, STEPS, SEGMENT = 8, 24, 3, 16, 50, 10
PLAN = TrainingPlan(D, C, K, STEPS, seed=4, batch=BATCH, learning_rate=1e-2, decay=0.3)
ROWS = np.random.default_rng(0).normal(size=(300, D)).astype(np.float32)


class Words:
    """An adapter whose item i has i % 3 + 1 tokens; counts what it is asked."""

    def __init__(self) -> None:
        self.calls = 0

    def token_states(self, items: list[Item], place: StatePlace = LAST_STATE) -> TokenStates:
        self.calls += 1
        found = [
            np.random.default_rng(int(item.id)).normal(size=(int(item.id) % 3 + 1, D)).astype(np.float32)
            for item in items
        ]
        return TokenStates(np.concatenate(found), np.arange(0), [], [], [])


def mixture() -> Stream:
    """Token states and pooled rows in turn, as in a run."""
    words, by_item, by_row = Words(), Order(len(ROWS), 1), Order(len(ROWS), 2)

    def rows() -> Rows:
        tokens = token_rows(words, lambda at: [Item(str(i), "text", "x") for i in at], by_item, EmbeddingView())  # type: ignore[arg-type]
        return alternate(tokens, pooled_rows([ROWS], BATCH, by_row))

    return Stream(rows, (by_item, by_row), D, BATCH, normalise=True)


class Breaking(Stream):
    """Like the stream, until somebody presses Ctrl-C."""

    left = 0

    def begin(self, positions: object) -> Iterator[torch.Tensor]:
        for batch in super().begin(positions):  # type: ignore[arg-type]
            if Breaking.left == 0:
                raise KeyboardInterrupt
            Breaking.left -= 1
            yield batch


@pytest.fixture(autouse=True)
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "SEGMENT", SEGMENT)
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0)


def weights(folder: Path) -> dict[str, np.ndarray]:
    return {name: read_weight(folder, name) for name in ("W_enc", "b_enc", "W_dec")}


def same(one: Path, other: Path) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(weights(one).values(), weights(other).values(), strict=True))


def break_off(folder: Path, plan: TrainingPlan, after: int) -> None:
    stream = mixture()
    Breaking.left = after
    broken = Breaking(stream.rows, stream.orders, stream.size, stream.batch, stream.normalise)
    with pytest.raises(KeyboardInterrupt):
        training.train({folder: plan}, broken, NoProgress(), folder / "checkpoint")


@pytest.mark.parametrize(
    ("architecture", "preset"),
    [("topk", "sae-lens"), ("topk", "study"), ("batchtopk", "sae-lens"), ("matryoshka", "sae-lens")],
)
def test_interrupted_and_resumed_is_as_if_never_interrupted(tmp_path: Path, architecture: str, preset: str) -> None:
    plan = replace(PLAN, architecture=architecture, preset=preset)
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    expected = training.train({whole: plan}, mixture(), NoProgress(), whole / "checkpoint")[whole]
    break_off(halves, plan, 37)
    assert [path.name for path in (halves / "checkpoint").glob("step-*")] == ["step-000000030"]
    steps: list[int] = []
    log = training.train({halves: plan}, mixture(), _Counting(steps), halves / "checkpoint")[halves]  # type: ignore[arg-type]
    assert steps == [30] + [1] * 20
    assert log == expected
    assert same(whole, halves)


class _Counting(NoProgress):
    """Notes how far the bar is moved each time."""

    def __init__(self, steps: list[int]) -> None:
        self.steps = steps

    def task(self, name: str, total: int | None = None) -> object:  # type: ignore[override]
        class Task:
            def __enter__(task) -> object:
                return task

            def __exit__(task, *_: object) -> None:
                return None

            def note(task, text: str) -> None:
                return None

            def advance(task, n: int = 1) -> None:
                self.steps.append(n)

        return Task()


def test_a_new_segment_begins_the_stream_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training.train({tmp_path / "a": PLAN}, mixture(), NoProgress(), tmp_path / "ca")
    monkeypatch.setattr(training, "SEGMENT", 25)
    training.train({tmp_path / "b": PLAN}, mixture(), NoProgress(), tmp_path / "cb")
    assert not same(tmp_path / "a", tmp_path / "b")


def test_a_checkpoint_of_another_plan_is_not_taken_up(tmp_path: Path) -> None:
    break_off(tmp_path / "a", PLAN, 37)
    other = replace(PLAN, learning_rate=2e-2)
    training.train({tmp_path / "a": other}, mixture(), NoProgress(), tmp_path / "a" / "checkpoint")
    training.train({tmp_path / "b": other}, mixture(), NoProgress(), tmp_path / "b" / "checkpoint")
    assert same(tmp_path / "a", tmp_path / "b")


def test_a_checkpoint_holds_tensors_and_plain_values_only(tmp_path: Path) -> None:
    break_off(tmp_path, PLAN, 12)
    (found,) = (tmp_path / "checkpoint").glob("step-*")
    names = {path.relative_to(found).as_posix() for path in found.rglob("*") if path.is_file()}
    own = f"{C}-{K}"
    of_sae_lens = ("cfg.json", "sae_weights.safetensors", "trainer_state.pt", "activation_scaler.json")
    assert names == {checkpoint.STATE, checkpoint.SUMS, *(f"{own}/{name}" for name in of_sae_lens)}
    state = torch.load(found / own / "trainer_state.pt", weights_only=True)
    assert state["n_training_steps"] == 10


def test_a_write_that_was_cut_short_is_passed_over(tmp_path: Path) -> None:
    break_off(tmp_path / "a", PLAN, 37)
    (tmp_path / "a" / "checkpoint" / "new").mkdir()
    (tmp_path / "a" / "checkpoint" / "new" / "state.json").write_text("{")
    training.train({tmp_path / "a": PLAN}, mixture(), NoProgress(), tmp_path / "a" / "checkpoint")
    training.train({tmp_path / "b": PLAN}, mixture(), NoProgress(), tmp_path / "b" / "checkpoint")
    assert same(tmp_path / "a", tmp_path / "b")


KILLED = """
import sys, time
from pathlib import Path
from tests.sae import test_resume as t
t.training.SEGMENT, t.training.CHECKPOINT_SECONDS = t.SEGMENT, 0
save = t.checkpoint.save
def slow(*args):
    save(*args)
    if args[1].step >= 20:
        print("there", flush=True)
        time.sleep(600)
t.checkpoint.save = slow
t.training.train({Path(sys.argv[1]): t.PLAN}, t.mixture(), t.NoProgress(), Path(sys.argv[1]) / "checkpoint")
"""


def test_killed_without_warning_it_goes_on_from_the_last_checkpoint(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    command, env = [sys.executable, "-c", KILLED, str(tmp_path / "a")], os.environ | {"PYTHONPATH": str(root)}
    child = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True, env=env)
    assert child.stdout and child.stdout.readline() == "there\n"
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    child.stdout.close()
    steps: list[int] = []
    training.train({tmp_path / "a": PLAN}, mixture(), _Counting(steps), tmp_path / "a" / "checkpoint")  # type: ignore[arg-type]
    assert steps[0] == 20 and sum(steps) == STEPS
    training.train({tmp_path / "b": PLAN}, mixture(), NoProgress(), tmp_path / "b" / "checkpoint")
    assert same(tmp_path / "a", tmp_path / "b")
