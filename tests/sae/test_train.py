"""Training: finds a known dictionary, keeps the study's conventions, is seeded; streams are even and endless."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from core.progress import NoProgress
from core.records import LAST_STATE, EmbeddingView, Item, StatePlace, TokenStates
from core.sae import SaeEncoder, fidelity
from core.sae.architectures import TrainingPlan
from core.sae.files import read_config, read_weight
from core.sae.stream import Order, Stream, alternate, pooled_rows, shuffled_batches, token_rows
from core.sae.train import train

D, C, K = 16, 48, 2


def sparse_rows(n: int, seed: int = 0) -> np.ndarray:
    """Rows that are sums of K of C / 2 fixed unit directions."""
    directions = np.random.default_rng(99).normal(size=(C // 2, D))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, C // 2, size=(n, K))
    return (directions[chosen] * rng.uniform(1, 3, size=(n, K, 1))).sum(1).astype(np.float32)


def run(folder: Path, seed: int = 0, steps: int = 400) -> Path:
    plan = TrainingPlan(size=D, width=C, k=K, steps=steps, seed=seed, batch=256, learning_rate=3e-3)
    run.log = train({folder: plan}, stream(256, seed), NoProgress(), folder / "checkpoint")[folder]  # type: ignore[attr-defined]
    return folder


def stream(batch: int, seed: int) -> Stream:
    order = Order(4000, seed)
    return Stream(lambda: pooled_rows([sparse_rows(4000)], batch, order), (order,), D, batch, normalise=False)


def test_a_planted_dictionary_is_found_with_the_conventions_of_the_study(tmp_path: Path) -> None:
    folder = run(tmp_path)
    config = read_config(folder)
    assert config["architecture"] == "topk"
    assert config["k"] == K
    assert not config["apply_b_dec_to_input"]
    assert not read_weight(folder, "b_dec").any()
    assert np.allclose(np.linalg.norm(read_weight(folder, "W_dec"), axis=1), 1, atol=1e-5)
    found = fidelity(SaeEncoder(folder, "raw"), sparse_rows(500, seed=5))
    assert found.explained_variance > 0.85
    assert found.l0 <= K
    log = run.log  # type: ignore[attr-defined]
    assert log[-1].loss < log[0].loss / 3
    assert log[-1].explained_variance > 0.85
    assert [point.step for point in log[:3]] == [0, 25, 50]


def test_the_seed_decides(tmp_path: Path) -> None:
    first, again, other = (
        read_weight(run(tmp_path / n, seed, 20), "W_enc") for n, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_global_random_state_is_left_alone(tmp_path: Path) -> None:
    import torch

    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    run(tmp_path, steps=3)
    assert torch.equal(torch.rand(3), expected)


def test_an_order_goes_on_where_it_was_with_every_row_once_per_round() -> None:
    order = Order(10, 3)
    rounds = np.concatenate([order.take(4) for _ in range(6)])
    assert sorted(rounds[:10]) == sorted(rounds[10:20]) == list(range(10))
    assert rounds[:10].tolist() != rounds[10:].tolist()
    resumed = Order(10, 3)
    resumed.position = 14
    assert resumed.take(4).tolist() == rounds[14:18].tolist()
    assert Order(10, 4).take(10).tolist() != rounds[:10].tolist()


def test_pooled_rows_take_every_row_once_per_round() -> None:
    arrays = [np.arange(5.0)[:, None], np.arange(5.0, 12.0)[:, None]]
    stream = pooled_rows(arrays, 4, Order(12, 0))
    first = np.concatenate(list(itertools.islice(stream, 3)))[:, 0]
    second = np.concatenate(list(itertools.islice(stream, 3)))[:, 0]
    assert sorted(first) == sorted(second) == list(range(12))
    assert first.tolist() != second.tolist()


def test_alternate_gives_both_streams_in_equal_numbers() -> None:
    ones = itertools.cycle([np.ones((3, 2)), np.ones((5, 2))])
    twos = itertools.cycle([np.full((4, 2), 2.0)])
    rows = np.concatenate(list(itertools.islice(alternate(ones, twos), 20)))[:, 0]
    assert (rows == 1).sum() == (rows == 2).sum() == 80


class _Counting:
    """An adapter whose item i has i % 3 + 1 tokens; the second is an image token."""

    def token_states(self, items: list[Item], place: StatePlace = LAST_STATE) -> TokenStates:
        counts = [int(item.id) % 3 + 1 for item in items]
        states = np.concatenate([np.full((n, 2), float(item.id)) for n, item in zip(counts, items, strict=True)])
        roles = [("text", "image", "text")[i] for n in counts for i in range(n)]
        return TokenStates(
            states, np.repeat(np.arange(len(items)), counts), [""] * len(roles), roles, [None] * len(items)
        )


@pytest.mark.parametrize(("mask", "per_item"), [("all", {0: 1, 1: 2, 2: 3}), ("no-image", {0: 1, 1: 1, 2: 2})])
def test_token_rows_go_round_all_items_and_keep_the_mask(mask: str, per_item: dict[int, int]) -> None:
    def items(rows: np.ndarray) -> list[Item]:
        return [Item(str(row), "text", "x") for row in rows]

    stream = token_rows(_Counting(), items, Order(9, 0), EmbeddingView(-1, "mean", mask))  # type: ignore[arg-type]
    states = next(stream)[:, 0]
    assert {i: int((states == i).sum()) for i in range(9)} == {i: per_item[i % 3] for i in range(9)}


def test_batches_are_shuffled_and_normalised_on_request() -> None:
    stream = shuffled_batches(itertools.cycle([sparse_rows(64)]), D, 32, normalise=True)
    assert np.allclose(np.linalg.norm(next(iter(stream)).numpy(), axis=1), 1, atol=1e-5)


def offset_rows(n: int, seed: int = 0) -> np.ndarray:
    """Sparse rows far from the origin, as pooled embeddings of one model are."""
    return sparse_rows(n, seed) + 20 * np.random.default_rng(7).normal(size=D).astype(np.float32)


@pytest.mark.parametrize("bias", ["none", "mean"])
def test_a_decoder_bias_is_the_mean_of_the_rows_and_explains_what_all_have_in_common(tmp_path: Path, bias: str) -> None:
    rows, order = offset_rows(4000), Order(4000, 0)
    stream = Stream(lambda: pooled_rows([rows], 256, order), (order,), D, 256, normalise=False)
    plan = TrainingPlan(D, C, K, 300, batch=256, learning_rate=3e-3, bias=bias)  # type: ignore[arg-type]
    train({tmp_path: plan}, stream, NoProgress(), tmp_path / "checkpoint")
    expected = rows.mean(0) if bias == "mean" else np.zeros(D)
    assert np.allclose(read_weight(tmp_path, "b_dec"), expected, atol=0.2)
    assert read_config(tmp_path)["apply_b_dec_to_input"] == (bias == "mean")
    fresh = offset_rows(500, seed=5)
    found = fidelity(SaeEncoder(tmp_path, "raw"), fresh)
    assert (found.explained_variance > 0.8) == (bias == "mean")
    coded = SaeEncoder(tmp_path, "raw").encode(fresh)
    assert np.allclose(coded.offset, expected, atol=0.2)


def test_a_setting_younger_than_the_cache_leaves_old_keys_alone() -> None:
    assert "bias" not in TrainingPlan(D, C, K, 1).keyed()
    assert TrainingPlan(D, C, K, 1, bias="mean").keyed()["bias"] == "mean"
