"""mteb's measures, number by number against mteb's own evaluation of the same vectors; and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from core.analysis import retrieval as r

pytestmark = pytest.mark.filterwarnings("ignore")  # of mteb and of what it imports
N, M = 40, 900


def half_units(rng: np.random.Generator, rows: int, width: int) -> np.ndarray:
    """Rows of four entries of 0.5 or -0.5: of length 1, with products that every precision holds exactly."""
    vectors = np.zeros((rows, width), np.float32)
    for row in vectors:
        row[rng.choice(width, 4, replace=False)] = rng.choice([-0.5, 0.5], 4)
    return vectors


def ids(letter: str, rows: int) -> list[str]:
    """Ids whose order is neither that of the rows nor that of numbers, some with characters of two bytes."""
    return [f"{letter}{'ä' if n % 7 == 0 else ''}{(n * 7919) % rows}" for n in range(rows)]


def theirs(
    queries: np.ndarray, candidates: np.ndarray, names: tuple[list[str], list[str]], qrels: dict, **rules: bool
) -> dict[str, float]:
    import mteb_scoring

    sides = [dict(zip(i, v, strict=True)) for i, v in zip(names, (queries, candidates), strict=True)]
    return mteb_scoring.scores(*sides, {q: dict(d) for q, d in qrels.items()}, **rules)


def ours(
    queries: np.ndarray, candidates: np.ndarray, names: tuple[list[str], list[str]], qrels: dict, **rules: bool
) -> dict[str, float]:
    query_rows, candidate_rows = ({i: n for n, i in enumerate(side)} for side in names)
    lines = [(query_rows[q], d, g) for q, grades in qrels.items() for d, g in grades.items() if g > 0]
    there = [(q, candidate_rows[d], g) for q, d, g in lines if d in candidate_rows]
    absent = np.array([(q, g) for q, d, g in lines if d not in candidate_rows]).reshape(-1, 2)
    pairs = np.array([(q, c) for q, c, _ in there])
    grades = r.Grades(
        pairs, np.array([g for *_, g in there], float), absent[:, 0].astype(int), absent[:, 1].astype(float)
    )
    rows = r.leaderboard_ranking(queries, candidates, *names, **rules)
    scores = r.leaderboard_scores(rows, grades)
    return {f"{name}_at_{k}": v for name, vs in scores.items() for k, v in zip(r.DEPTHS, vs.mean(0), strict=True)}


@pytest.fixture(scope="module")
def case() -> tuple[np.ndarray, np.ndarray, tuple[list[str], list[str]], dict[str, dict[str, int]]]:
    """Nearly all candidates are tied; fewer than mteb ranks, for which of those tied at place 1000 it keeps is chance.

    1 to 30 answers of grades 1 to 3, some worth 0, one absent,
    one query whose only answer is absent and one with none but a 0.
    """
    rng = np.random.default_rng(4)
    names = ids("q", N), ids("d", M)
    qrels = {q: {d: int(rng.integers(0, 4)) for d in rng.choice(names[1], rng.integers(1, 30))} for q in names[0]}
    qrels[names[0][0]]["nowhere"] = 2
    qrels[names[0][1]], qrels[names[0][2]] = {"elsewhere": 1}, {names[1][3]: 0}
    return half_units(rng, N, 9), half_units(rng, M, 9), names, qrels


def agree(mine: dict[str, float], other: dict[str, float]) -> None:
    """To 1e-9, or to the five digits that mteb rounds to."""
    assert len(mine) == len(r.MEASURES) * len(r.DEPTHS)
    for name, value in mine.items():
        assert other[name] == pytest.approx(value if name.startswith("mrr") else round(value, 5), abs=1e-9), name


def test_every_number_is_mtebs_with_ties_grades_and_absent_answers(case) -> None:
    mine = ours(*case)
    agree(mine, theirs(*case))
    assert mine["recall_at_10"] < mine["hit_rate_at_10"] < 1
    queries, candidates, _, _ = case
    assert len(np.unique(queries @ candidates.T)) < 12, "nearly everything is tied"


def test_every_number_is_mtebs_in_a_pool_deeper_than_it_ranks() -> None:
    rng = np.random.default_rng(5)
    queries, candidates = (rng.normal(size=(rows, 16)).astype(np.float32) for rows in (30, 1500))
    queries, candidates = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (queries, candidates))
    names = ids("q", 30), ids("d", 1500)
    qrels = {q: {d: int(rng.integers(1, 3)) for d in rng.choice(names[1], 6)} for q in names[0]}
    mine = ours(queries, candidates, names, qrels)
    agree(mine, theirs(queries, candidates, names, qrels))
    assert mine["recall_at_1000"] < 1


@pytest.mark.parametrize(
    "rules", [{"ignore_identical_ids": True}, {"skip_first_result": True}], ids=["own id", "first"]
)
def test_a_tasks_own_rules(rules: dict[str, bool]) -> None:
    """Queries that are documents too, as in ArguAna and CUB200."""
    rng = np.random.default_rng(6)
    vectors = rng.normal(size=(60, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = ids("d", 60)[:20], ids("d", 60)
    qrels = {q: {d: 1 for d in rng.choice([d for d in names[1] if d != q], 4)} for q in names[0]}
    case = vectors[:20], vectors, names, qrels
    with_rules = ours(*case, **rules)
    agree(with_rules, theirs(*case, **rules))
    assert with_rules["ndcg_at_10"] > ours(*case)["ndcg_at_10"], "each query finds itself first"


def test_by_hand() -> None:
    """Grades 2 and 1 at places 2 and 4 of a pool of five, a third answer of grade 1 not in the pool."""
    rows = np.array([[3, 0, 4, 1, 2]])
    grades = r.Grades(np.array([[0, 0], [0, 1]]), np.array([2.0, 1.0]), np.array([0]), np.array([1.0]))
    scores = {name: dict(zip(r.DEPTHS, v[0], strict=True)) for name, v in r.leaderboard_scores(rows, grades).items()}
    ideal = 2 + 1 / np.log2(3) + 1 / np.log2(4)
    assert scores["ndcg"][10] == pytest.approx((2 / np.log2(3) + 1 / np.log2(5)) / ideal)
    assert (scores["hit_rate"][1], scores["hit_rate"][3]) == (0, 1) and scores["mrr"][1000] == 0.5
    assert (scores["recall"][3], scores["recall"][5]) == (pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert scores["map"][5] == pytest.approx((1 / 2 + 2 / 4) / 3)
    assert (scores["precision"][5], scores["precision"][10]) == (2 / 5, 2 / 10)


def test_equal_scores_rank_by_the_last_id_first() -> None:
    ones = np.ones((3, 1), np.float32)
    assert r.leaderboard_ranking(ones[:1], ones, ["q"], ["b", "c", "a"]).tolist() == [[1, 0, 2]]
    assert r.leaderboard_ranking(ones[:1], ones, ["c"], ["b", "c", "a"], ignore_identical_ids=True).tolist() == [
        [0, 2, -1]
    ]
