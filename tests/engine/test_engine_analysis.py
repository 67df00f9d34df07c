"""What workers count, search and stream is what this process does."""

from __future__ import annotations

from functools import partial
from itertools import islice
from pathlib import Path

import engine_models  # type: ignore[import-not-found]
import numpy as np
import pytest
from engine_models import VIEWS, Model

from core.analysis.retrieval.ranking import rank_top_k
from core.analysis.variants.moments import moments_of
from core.corpus import Corpus
from core.demo.runs import demo_specs  # noqa: F401 - ships the SAE below
from core.engine import Session
from core.engine.codes import Coders
from core.engine.ranking import neighbours, search
from core.engine.shipping import CorpusOf
from core.engine.states import StateWorkers
from core.engine.statistics import moments
from core.models.known import WEIGHTS
from core.sae import codes as local_codes
from core.sae.codes import SaeEncoder
from core.sae.stream import ITEMS_PER_CALL, Order, token_rows


def unit(rows: int, seed: int) -> np.ndarray:
    """Unit rows, a third of them twice, so that scores tie."""
    made = np.random.default_rng(seed).normal(size=(rows, 16)).astype(np.float32)
    made[rows // 3 : 2 * (rows // 3)] = made[: rows // 3]
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def test_search_gives_the_lists_of_one_process(session: Session) -> None:
    queries, candidates = unit(50, 0), unit(90, 1)
    expected = rank_top_k(queries, candidates, 12)
    found = search(session, queries, candidates, 12, block=20, shard=25)
    assert np.array_equal(found.candidates, expected.candidates)
    assert np.array_equal(found.scores, expected.scores)
    ties = np.random.default_rng(2).permutation(90)
    assert np.array_equal(
        search(session, queries, candidates, 12, ties=ties, block=20, shard=25).candidates,
        rank_top_k(queries, candidates, 12, ties=ties).candidates,
    )


def test_neighbours_are_the_nearest_other_rows(session: Session) -> None:
    rows = unit(40, 3)
    found = neighbours(session, rows, 5)
    scores = (rows.astype(np.float64) @ rows.T.astype(np.float64)).astype(np.float32)
    np.fill_diagonal(scores, -np.inf)
    assert np.array_equal(found.candidates, np.argsort(-scores, axis=1, kind="stable")[:, :5])


def test_moments_are_merged_from_those_of_blocks(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.engine import statistics

    rows = np.random.default_rng(4).normal(3, 2, (101, 6))
    monkeypatch.setattr(statistics, "row_blocks", lambda n, d: (slice(at, at + 20) for at in range(0, n, 20)))
    found, expected = moments(session, rows[:61], rows[61:]), moments_of(rows)
    assert found.n_samples == 101
    for name in ("mean", "covariance", "third", "fourth"):
        assert np.allclose(getattr(found, name), getattr(expected, name), rtol=1e-9)


def test_codes_of_blocks_are_those_of_one_process(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = WEIGHTS / "sae-demo-clip"
    here = SaeEncoder(folder, "raw")
    rows = np.random.default_rng(5).normal(size=(70, here.sae.cfg.d_in)).astype(np.float32)
    monkeypatch.setattr(local_codes, "BLOCK_VALUES", 10 * here.sae.cfg.d_sae)
    blocks = list(here.blocks(rows))
    there = list(Coders(session)(folder, "raw").blocks(rows))
    assert len(there) == len(blocks) == 7
    for one, other in zip(there, blocks, strict=True):
        assert (one.codes != other.codes).nnz == 0 and np.array_equal(one.offset, other.offset)


def test_token_states_stream_in_the_order_of_one_process(session: Session, corpus: Corpus, tmp_path: Path) -> None:
    import ray

    ray.cloudpickle.register_pickle_by_value(engine_models)
    parts = ("queries", "candidates")
    sizes = {part: len(corpus.items(part)) for part in parts}  # type: ignore[arg-type]
    reference = CorpusOf(corpus.folder.path.parents[1], corpus.key)
    workers = StateWorkers(session, reference, sizes, corpus.task, partial(Model), VIEWS[0])  # type: ignore[arg-type]

    def items(rows: np.ndarray) -> list[object]:
        return [corpus.items(parts[row // 24]).item(int(row % 24)) for row in rows]  # type: ignore[arg-type]

    there, here = Order(48, 7), Order(48, 7)
    expected = list(islice(token_rows(Model(), items, here, VIEWS[0]), 4))  # type: ignore[arg-type]
    found = []
    for states in workers.rows(there):
        found.append(states)
        assert there.position <= ITEMS_PER_CALL * len(found)  # calls on their way are not handed out
        if len(found) == 4:
            break
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
    assert there.position == here.position
