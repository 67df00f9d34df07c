"""A remedy is recommended where one is planted, raw is kept where none helps, and no row scored was chosen on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from core import pipeline
from core.analysis.retrieval.drift import drift_between, fit_drift, random_halves
from core.analysis.variants import fit_variant
from core.analysis.variants.portable import arrays_of, drift, treat
from core.analysis.variants.transform import SideTransform, transform
from core.commands.cli import app
from core.commands.remedy import write_remedy
from core.config import CorpusSpec, ModelSpec, RunSpec, SaeSpec
from core.errors import NotAvailable, UserError, VariantError
from core.questions.answers import fit_data, fitted, transformed
from core.questions.choosing import FOLDS, fold, folds, rows_of
from core.questions.recommend import recommend, remedies_for, stored
from core.questions.retrieval import compare
from core.run import Run
from core.store import Store

D = 12


def planted(folder: Path, shift: float, support: bool = True, queries: int = 120, seed: int = 0) -> Run:
    """Own embeddings whose pairs agree but for noise; `shift`: length of the mean of the queries, along an axis on
    which the candidates differ, so that raw cosines prefer whoever lies that way."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for prefix in ("", "support_") if support else ("",):
        candidates = rng.standard_normal((queries, D))
        rows = candidates + 0.5 * rng.standard_normal((queries, D))
        rows[:, 0] += shift
        for part, x in (("queries", rows), ("candidates", candidates)):
            np.save(folder / f"{prefix}{part}.npy", x.astype(np.float32))
            lines = [f"{part[0]}{i},text {i}" for i in range(queries)]
            (folder / f"{prefix}{part}.csv").write_text("\n".join(["id,text", *lines]))
        pairs = "".join(f"q{i}\tc{i}\t1\n" for i in range(queries))
        (folder / f"{prefix}qrels.tsv").write_text("query-id\tcorpus-id\tscore\n" + pairs)
    corpus = CorpusSpec(source="embeddings", path=str(folder))
    spec = RunSpec(name="planted", corpus=corpus, model=ModelSpec(name="own-embeddings"), sae=SaeSpec(source="none"))
    return pipeline.run(spec, Store(folder / "cache"))


def shuffled(run: Run, name: str, folder: Path) -> Run:
    """The same embeddings with the pairs of a file paired otherwise."""
    lines = (folder / name).read_text().splitlines()
    turned = [
        f"{line.split()[0]}\t{other.split()[1]}\t1"
        for line, other in zip(lines[1:], [*lines[2:], lines[1]], strict=True)
    ]
    (folder / name).write_text("\n".join([lines[0], *turned]) + "\n")
    return pipeline.run(run.spec, Store(folder / "other"))


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


# -- the choice --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("support", [True, False])
def test_centring_is_recommended_where_a_shift_is_planted(tmp_path: Path, support: bool) -> None:
    found = recommend(planted(tmp_path / "a", 6.0, support))
    assert found.use and (found.remedy == "centring per side" or not support)
    assert found.score is not None and found.score.gain > 0.1 and found.score.clear
    assert found.score.queries == (120 if support else 60)
    assert bool(support) != any("no labelled support split" in note for note in found.notes)


@pytest.mark.parametrize("support", [True, False])
def test_raw_is_kept_where_nothing_helps(tmp_path: Path, support: bool) -> None:
    found = recommend(planted(tmp_path / "a", 0.0, support))
    assert not found.use and found.advice == "keep raw" and found.variant == "none" and found.drift is None
    assert found.score is not None and found.score.gain == 0


def test_what_is_not_confirmed_is_not_recommended(tmp_path: Path) -> None:
    """A shift in the support split that the test split does not have: chosen there, and not clear here."""
    run = planted(tmp_path / "a", 6.0)
    rng = np.random.default_rng(5)
    candidates = rng.standard_normal((120, D))
    np.save(tmp_path / "a" / "candidates.npy", candidates.astype(np.float32))
    rows = candidates + 0.3 * rng.standard_normal((120, D))
    np.save(tmp_path / "a" / "queries.npy", rows.astype(np.float32))
    found = recommend(pipeline.run(run.spec, Store(tmp_path / "other")))
    assert found.remedy != "raw" and not found.use and found.advice == "keep raw"
    assert "not clear" in found.why and found.score is not None and found.score.gain < 0.05


def test_rows_that_are_scored_are_not_chosen_on(tmp_path: Path) -> None:
    """Other pairs in the test split: the score falls, the choice and its table are the same to the last digit."""
    run = planted(tmp_path / "a", 6.0)
    before = recommend(run)
    after = recommend(shuffled(run, "qrels.tsv", tmp_path / "a"))
    assert before.table.equals(after.table) and before.remedy == after.remedy
    assert before.score is not None and after.score is not None and after.score.recall < before.score.recall / 2


def test_halves_share_no_query_and_no_answer(tmp_path: Path) -> None:
    rows = rows_of(planted(tmp_path / "a", 6.0, support=False), labelled=True)
    assert not rows.whole
    whole = {row.tobytes() for row in np.asarray(rows.choose.queries)}
    assert not whole & {row.tobytes() for row in np.asarray(rows.score.queries)}
    assert rows.choose.pairs is not None and rows.score.pairs is not None
    assert not set(rows.choose.pairs[:, 1]) & set(rows.score.pairs[:, 1])
    for part in (rows.choose, rows.score):
        assert part.pairs is not None and len(part.pairs) == len(part.queries) == 60
        near = (unit(part.queries) * unit(np.asarray(part.candidates)[part.pairs[:, 1]])).sum(axis=1)
        assert near.mean() > 0.2, "the pairs are those of these rows"


def test_without_labels_none_are_looked_at(tmp_path: Path) -> None:
    """Wrong pairs in the support split lead the choice by labels astray, and leave that without labels alone."""
    run = planted(tmp_path / "a", 6.0)
    before, labelled = recommend(run, "none"), recommend(run)
    other = shuffled(run, "support_qrels.tsv", tmp_path / "a")
    after = recommend(other, "none")
    assert before.remedy == after.remedy == "centring per side" and before.why == after.why
    assert before.score == after.score and before.table.empty and before.drift is not None
    assert after.drift is not None and after.drift.limit == before.drift.limit and before.drift.change is None
    assert labelled.use and not recommend(other).use


def test_without_labels_and_without_a_common_part_raw_is_kept(tmp_path: Path) -> None:
    found = recommend(planted(tmp_path / "a", 0.0), "none")
    assert not found.use and "not far from what chance gives" in found.why


def test_the_score_is_the_runs_own_evaluation(small_runs: Mapping[str, Run]) -> None:
    run = small_runs["small"]
    found = recommend(run)
    table = compare(run, "none", found.variant).table.set_index("metric")
    assert found.score is not None
    row = table.loc["recall@1"]
    mine = (
        found.score.recall,
        found.score.low,
        found.score.high,
        found.score.gain,
        found.score.gain_low,
        found.score.p,
    )
    theirs = (row.after, row.after_low, row.after_high, row.difference, row.difference_low, row.p_value)
    assert mine == pytest.approx(theirs, abs=1e-12)
    again = stored(run)
    assert again is not None and json.dumps(again.to_json()) == json.dumps(found.to_json())


def test_cross_validation_against_a_plain_loop(small_runs: Mapping[str, Run]) -> None:
    """Recall@1 of centring with every fold's own means, in numpy alone."""
    run = small_runs["small-task1"]
    queries, candidates = (np.asarray(run.embeddings(f"support_{p}"), np.float64) for p in ("queries", "candidates"))
    pairs = run.qrels("support").pairs
    rows, hits = rows_of(run, labelled=True), np.zeros(len(queries))
    for held in folds(len(queries), rows.clusters):
        q = unit(unit(queries[held]) - unit(queries[~held]).mean(axis=0))
        c = unit(unit(candidates) - unit(candidates).mean(axis=0))
        best = (q @ c.T).argmax(axis=1)
        for at, row in enumerate(np.flatnonzero(held)):
            hits[row] = best[at] in pairs[pairs[:, 0] == row, 1]
    found = recommend(run).table.set_index("remedy")
    assert found.loc["centring per side", "recall@1"] == pytest.approx(hits.mean(), abs=1e-12)


def test_folds_hold_every_query_once_and_tear_no_cluster(small_runs: Mapping[str, Run]) -> None:
    clusters = np.repeat(np.arange(40), 3)
    masks = folds(120, clusters)
    assert len(masks) == FOLDS and (np.sum(masks, axis=0) == 1).all()
    for mask in masks:
        assert 18 <= mask.sum() <= 30 and not set(clusters[mask]) & set(clusters[~mask])
    data = rows_of(small_runs["small"], labelled=True).choose
    held = folds(len(data.queries), None)[0]
    part = fold(data, held)
    assert part.support_queries is not None and len(part.queries) + len(part.support_queries) == len(data.queries)
    np.testing.assert_array_equal(part.queries, data.queries[held])


def test_too_few_queries_and_no_pairs_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match="too few queries"):
        recommend(planted(tmp_path / "a", 6.0, support=False, queries=30))
    with pytest.raises(UserError, match="unknown labels"):
        recommend(planted(tmp_path / "b", 6.0), "all")  # type: ignore[arg-type]


# -- what is taken home ------------------------------------------------------------------------------------------------

ALONE = """
import sys
sys.modules["core"] = sys.modules["dashboard"] = None  # the project cannot be imported here
import json
import numpy as np
sys.path.insert(0, sys.argv[1])
import remedy
rows = np.load(sys.argv[2])
out = {side: [remedy.treat(row, side)[0].tolist() for row in rows] for side in ("query", "candidate")}
out["drift"] = remedy.drift(rows)
loaded = [name for name in sys.modules if name.split(".")[0] in ("core", "dashboard", "scipy", "pandas")]
out["loaded"] = [name for name in loaded if sys.modules[name] is not None]
print(json.dumps(out))
"""


def alone(folder: Path, rows: np.ndarray) -> dict:
    """What the exported lines make of rows, one by one, in a process that has numpy and not this project."""
    np.save(folder / "rows.npy", rows)
    command = [sys.executable, "-I", "-c", ALONE, str(folder), str(folder / "rows.npy")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("labels", ["support", "none"])
def test_the_exported_lines_do_what_the_tool_does(small_runs: Mapping[str, Run], tmp_path: Path, labels: str) -> None:
    run = small_runs["small"]
    found = recommend(run, labels)  # type: ignore[arg-type]
    paths = write_remedy(run, found, tmp_path / "remedy.npz")
    assert [path.name for path in paths] == ["remedy.npz", "remedy.py"]
    rows = np.asarray(run.embeddings("queries"))[:9]
    result = alone(tmp_path, rows)
    assert result["loaded"] == []
    variant = found.variant if found.use else "none"
    np.testing.assert_allclose(result["query"], transformed(run, variant, "queries")[:9], atol=1e-6)
    side = fitted(run, variant).candidate
    np.testing.assert_allclose(result["candidate"], transform(rows, side), atol=1e-6)
    assert result["drift"] == pytest.approx(drift(rows, dict(np.load(tmp_path / "remedy.npz"))))


@pytest.mark.parametrize(
    "variant",
    ["none", "center", "close-gap", "remove-mean-direction", "all-but-top", "scale-dims", "realign(beta=0.03)", "zca",
     "auto", "pca(statistics=candidates)", "pca(components=7)", "remove-top", "remove-top+realign", "center+zca",
     "remove-pca(rank=3)+center"],
)  # fmt: skip
def test_every_remedy_as_arrays(small_runs: Mapping[str, Run], variant: str) -> None:
    """Also a row of zeros, which has no direction."""
    run = small_runs["small"]
    fit = fit_variant(variant, fit_data(run))
    arrays = arrays_of(fit)
    rows = np.asarray(run.embeddings("candidates"), dtype=np.float64)[:20].copy()
    rows[3] = 0
    for side, name in ((fit.query, "query"), (fit.candidate, "candidate")):
        whole = treat(rows, name, arrays)
        np.testing.assert_allclose(whole, transform(rows, side), atol=1e-6)
        np.testing.assert_allclose(treat(rows[5], name, arrays)[0], whole[5], atol=1e-12)
        assert not whole[3].any() or side.mean is None


def test_a_row_that_is_the_mean_has_no_direction() -> None:
    rows = np.random.default_rng(0).standard_normal((4, 6))
    mean = unit(rows)[2]
    whitening = np.diag(np.full(6, 1e6))
    expected = transform(rows, SideTransform(mean=mean, matrix=whitening))
    np.testing.assert_allclose(
        treat(rows, "query", {"query.mean": mean, "query.matrix": whitening}), expected, atol=1e-6
    )
    assert not expected[2].any()


def test_edits_cannot_be_taken_home(small_runs: Mapping[str, Run]) -> None:
    with pytest.raises(VariantError, match="needs the SAE"):
        arrays_of(fitted(small_runs["small"], "set(3=0)"))


def test_all_that_is_tried_can_be_taken_home(small_runs: Mapping[str, Run]) -> None:
    for _, variant in remedies_for(small_runs["small"]):
        arrays_of(fitted(small_runs["small"], variant))


def test_files_are_equal_twice_and_no_other_file_is_overwritten(
    small_runs: Mapping[str, Run], small_store: object, tmp_path: Path
) -> None:
    def written(out: Path) -> dict[str, bytes]:
        result = CliRunner().invoke(app, ["recommend", "small", "--out", str(out), "--json"])
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["files"] == [str(out), str(out.with_suffix(".py"))]
        return {path.name: path.read_bytes() for path in out.parent.iterdir()}

    first = written(tmp_path / "a" / "mine.npz")
    assert first == written(tmp_path / "a" / "mine.npz")
    (tmp_path / "thesis.py").write_text("mine")
    for name in ("thesis.npz", "thesis.py", "a"):
        result = CliRunner().invoke(app, ["recommend", "small", "--out", str(tmp_path / name)])
        assert result.exit_code == 1 and len(result.stderr.splitlines()) == 1, result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "thesis.py"]
    assert (tmp_path / "thesis.py").read_text() == "mine"


def test_what_is_printed(small_runs: Mapping[str, Run], small_store: object) -> None:
    result = CliRunner().invoke(app, ["recommend", "small"])
    found = recommend(small_runs["small"])
    assert result.exit_code == 0 and result.stdout.splitlines()[0] == f"small: {found.advice}"
    assert "def treat(" in result.stdout and "microseconds per query" in result.stdout
    data = json.loads(CliRunner().invoke(app, ["recommend", "small", "--labels", "none", "--json"]).stdout)
    assert data["labels"] == "none" and data["cross_validation"] == []


# -- drift -------------------------------------------------------------------------------------------------------------


def test_drift_of_means_by_hand() -> None:
    """(3, 0) from (0, 4), tr S = 5, n = 10, m = 2: 25 / (5 x 0.6)."""
    assert drift_between(np.array([3.0, 0.0]), np.array([0.0, 4.0]), 5.0, 10, 2) == pytest.approx(25 / 3)
    record = fit_drift(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]))
    assert record.mean.tolist() == [0.5, 0.5] and record.variance == pytest.approx(2 / 3) and record.n == 4


@pytest.mark.parametrize("d", [3, 60])
def test_drift_is_one_by_chance_and_its_limit_holds(d: int) -> None:
    """New rows of the same kind, other seeds: 1 on average, above the limit in about 1 of 100 batches of any size."""
    rng = np.random.default_rng(1)
    scale = np.geomspace(1, 0.05, d)

    def rows(n: int) -> np.ndarray:
        return unit(rng.standard_normal((n, d)) * scale + 0.5)

    for m in (30, 200):
        figures, above = [], 0
        for _ in range(60):
            record = fit_drift(rows(150), splits=200)
            new = [drift_between(record.mean, rows(m).mean(axis=0), record.variance, record.n, m) for _ in range(5)]
            figures += new
            above += sum(figure > record.limit for figure in new)
        assert np.mean(figures) == pytest.approx(1, abs=0.2) and 0 <= above <= 15, (m, above)


def test_a_shift_is_above_the_limit() -> None:
    rng = np.random.default_rng(2)
    x = unit(rng.standard_normal((300, 8)) + 1)
    record = fit_drift(x)
    w = {"drift.mean": record.mean, "drift.variance": np.float64(record.variance), "drift.n": np.float64(record.n)}
    assert drift(rng.standard_normal((100, 8)) + 1, w) < record.limit < drift(rng.standard_normal((100, 8)) + 1.4, w)


def test_rows_that_belong_together_raise_the_limit() -> None:
    """Five copies of each row: means of halves vary five times as much as 300 rows on their own would."""
    rng = np.random.default_rng(3)
    x = np.repeat(unit(rng.standard_normal((60, 8))), 5, axis=0)
    clusters = np.repeat(np.arange(60), 5)
    assert fit_drift(x, clusters).limit > 3 * fit_drift(x).limit
    halves = random_halves(300, clusters, 20, seed=0)
    assert (halves.reshape(20, 60, 5).std(axis=2) == 0).all() and (halves.sum(axis=1) == 150).all()
