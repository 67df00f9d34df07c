"""What a folder of vectors may hold, and one clear line for whatever cannot be compared."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from planted import QUERIES, unit

from core.errors import CorpusError, NotAvailable, ShapeMismatch, SpecError

if TYPE_CHECKING:
    from core.questions.check import Checked
    from core.run import Run


@pytest.fixture
def own(tiny: Run, tmp_path: Path) -> Run:
    """The rows of `tiny` as a run of own embeddings, without a model."""
    from core import pipeline
    from core.commands.export import export_run
    from core.config import OWN_MODEL, CorpusSpec, ModelSpec, RunSpec, SaeSpec
    from core.progress import NoProgress
    from core.store import Store

    export_run(tiny, tmp_path / "exported")
    corpus = CorpusSpec(source="embeddings", path=str(tmp_path / "exported"), task=4)
    spec = RunSpec(name="own", corpus=corpus, model=ModelSpec(name=OWN_MODEL), sae=SaeSpec(source="none"))
    return pipeline.run(spec, Store(tmp_path / "cache"), NoProgress())


def rows(run: Run, part: Any = "queries") -> np.ndarray:
    return np.array(run.embeddings(part))


def ids(run: Run, part: Any = "queries") -> list[str]:
    return list(run.corpus.items(part).ids)


def table(run: Run, path: Path, wide: bool) -> None:
    """Some rows in another order, with ids, as one column of lists or as a column per dimension."""
    order = [3, 0, 6, 1]
    vectors = rows(run)[order]
    frame = pd.DataFrame({"id": [ids(run)[at] for at in order]})
    if wide:
        numbers = pd.DataFrame(vectors, columns=[f"dim_{n}" for n in range(vectors.shape[1])])
        frame = pd.concat([frame, numbers], axis=1)
    elif path.suffix == ".csv":
        frame["embedding"] = [json.dumps(row.tolist()) for row in vectors]
    else:
        frame["embedding"] = list(vectors)
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path, index=False)


@pytest.mark.parametrize("name", ["queries.parquet", "queries.csv"])
@pytest.mark.parametrize("wide", [True, False], ids=["a column per dimension", "a column of lists"])
def test_tables_with_ids(name: str, wide: bool, tiny: Run, tmp_path: Path) -> None:
    from core.questions.check import check, read_vectors

    table(tiny, tmp_path / name, wide)
    answer = check(tiny, read_vectors(tiny, tmp_path), 8)
    assert answer.equal
    assert answer.n == 4


@pytest.mark.parametrize("suffix", [".txt", ".json", ".npy"])
def test_ids_beside(suffix: str, tiny: Run, tmp_path: Path) -> None:
    """Rows in another order are told by their ids; the same rows without ids would be shuffled."""
    from core.questions.check import check, read_vectors

    turned = np.arange(QUERIES)[::-1]
    np.save(tmp_path / "queries.npy", rows(tiny)[turned])
    names = [ids(tiny)[at] for at in turned]
    path = tmp_path / f"queries_ids{suffix}"
    if suffix == ".npy":
        np.save(path, np.array(names))
    else:
        path.write_text(json.dumps(names) if suffix == ".json" else "\n".join(names))
    assert check(tiny, read_vectors(tiny, tmp_path), 8).equal
    path.unlink()
    answer = check(tiny, read_vectors(tiny, tmp_path), 8)
    assert [one["setting"] for one in answer.explained_by] == ["rows shuffled"]


def test_rows_that_all_moved_by_one(tiny: Run, checked: Callable[..., Checked]) -> None:
    answer = checked({"queries": np.roll(rows(tiny), 1, axis=0)})
    assert answer.explained_by[0]["to"] == "each vector stands 1 row later"


def test_the_answer_does_not_hang_on_the_scale_of_single_rows(tiny: Run, checked: Callable[..., Checked]) -> None:
    scales = np.linspace(0.5, 3, QUERIES)[:, None]
    answer = checked({"queries": rows(tiny) * scales})
    assert [one["setting"] for one in answer.explained_by] == ["normalisation"]


def test_tolerance_follows_from_the_types(tiny: Run, checked: Callable[..., Checked]) -> None:
    """Numbers stored in half precision are rounded once, and equal; with a smaller tolerance they are not."""
    answer = checked({"queries": rows(tiny).astype(np.float16)}, tolerance=None)
    assert answer.equal
    assert answer.tolerance == pytest.approx(2**-11.5 + 2**-10)
    assert "float32" in answer.tolerance_why and "float16" in answer.tolerance_why
    assert 0 < answer.max_difference < 2**-10


def test_a_stricter_tolerance_names_the_rounding(tiny: Run, checked: Callable[..., Checked]) -> None:
    half = rows(tiny).astype(np.float16).astype(np.float32)
    answer = checked({"queries": half}, tolerance=1e-5)
    assert [(one["setting"], one["to"]) for one in answer.explained_by] == [("dtype", "stored as float16")]


def test_all_rows_are_one(tiny: Run, checked: Callable[..., Checked]) -> None:
    answer = checked({"queries": np.repeat(rows(tiny)[:1], QUERIES, axis=0)})
    assert answer.findings == (f"All {QUERIES} given vectors are one and the same.",)
    assert not answer.equal


def test_one_side_alone_is_ranked_against_the_run(tiny: Run, checked: Callable[..., Checked]) -> None:
    answer = checked({"queries": rows(tiny)})
    assert answer.equal
    assert "the candidates are the run's own" in answer.recall_on
    assert answer.recall_given == answer.recall_reference is not None


def spoilt(run: Run, what: str) -> dict[str, np.ndarray]:
    """Vectors that cannot be compared, by what is wrong with them."""
    vectors = rows(run)
    if what == "nan":
        vectors[2, 5] = np.nan
    elif what == "zero":
        vectors[4] = 0
    elif what == "wide":
        vectors = np.concatenate([vectors, vectors], axis=1)
    elif what == "few":
        vectors = vectors[:-2]
    elif what == "many":
        vectors = np.concatenate([vectors, vectors[:1]])
    elif what == "two widths":
        return {"queries": vectors[:, :9], "candidates": rows(run, "candidates")}
    elif what == "flat":
        vectors = vectors.ravel()
    return {"queries": vectors}


@pytest.mark.parametrize(
    ("what", "error", "words"),
    [
        ("nan", CorpusError, "1 of 8 vectors hold NaN or infinity; got the first is that of item"),
        ("zero", CorpusError, "1 of 8 vectors hold nothing but zeros"),
        ("wide", ShapeMismatch, "the vectors are wider than the run's; got d = 512; allowed: d = 256"),
        ("few", CorpusError, "too few rows of queries, and no ids beside them; got 6 rows; allowed: 8"),
        ("many", CorpusError, "too many rows of queries, and no ids beside them; got 9 rows; allowed: 8"),
        ("two widths", ShapeMismatch, "queries and candidates differ in width"),
        ("flat", CorpusError, "queries.npy holds no embeddings"),
    ],
)
def test_what_cannot_be_compared(
    what: str, error: type[Exception], words: str, tiny: Run, checked: Callable[..., Checked]
) -> None:
    with pytest.raises(error) as caught:
        checked(spoilt(tiny, what))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "the folder holds no vectors"),
        ({"queries_ids.txt": "nobody\n" * QUERIES}, "an id of queries stands twice"),
        ({"queries_ids.txt": "\n".join(f"x{n}" for n in range(QUERIES))}, "the run knows none of the ids"),
        ({"queries_ids.txt": "one"}, "ids and vectors of queries differ in number"),
        ({"queries_ids.json": "{}"}, "queries_ids.json cannot be read"),
    ],
)
def test_folders_that_will_not_do(files: dict[str, str], words: str, tiny: Run, tmp_path: Path) -> None:
    from core.questions.check import read_vectors

    if files:
        np.save(tmp_path / "queries.npy", rows(tiny))
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(CorpusError, match=words):
        read_vectors(tiny, tmp_path)


def test_ids_the_run_does_not_know_are_left_out_and_counted(tiny: Run, tmp_path: Path) -> None:
    from core.questions.check import check, read_vectors

    np.save(tmp_path / "queries.npy", np.concatenate([rows(tiny), rows(tiny)[:1]]))
    (tmp_path / "queries_ids.txt").write_text("\n".join([*ids(tiny), "stranger"]))
    answer = check(tiny, read_vectors(tiny, tmp_path), 8)
    assert answer.equal
    assert answer.notes == ("1 of 9 queries have ids that the run does not know; they are left out",)


@pytest.mark.parametrize(("number", "tolerance"), [(1, None), (8, -1.0), (8, float("nan"))])
def test_a_sample_or_tolerance_that_cannot_be(
    number: int, tolerance: float | None, tiny: Run, checked: Callable[..., Checked]
) -> None:
    with pytest.raises(SpecError):
        checked({"queries": rows(tiny)}, number=number, tolerance=tolerance)


def test_own_embeddings_are_checked_against_themselves(own: Run, checked: Callable[..., Checked]) -> None:
    answer = checked({"queries": unit(rows(own))}, own)
    assert [one["setting"] for one in answer.explained_by] == ["normalisation"]
    assert "its vectors are its own embeddings" in answer.notes[0]
    assert {one.setting for one in answer.tried} <= {"normalisation", "dtype", "rows shuffled"}


def test_a_model_that_cannot_be_loaded_leaves_the_stored_rows(
    tiny_cache: Path, checked: Callable[..., Checked], monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.errors import ModelError
    from core.questions.check import encoding
    from core.run import open_run
    from core.store import Store

    def gone(encoder: object, dtype: str) -> None:
        raise ModelError("no such model")

    monkeypatch.setattr(encoding.SampleEncoder, "_loaded", gone)
    run = open_run("tiny", Store(tiny_cache))
    answer = checked({"queries": rows(run)[:, :40]}, run)
    assert [one["setting"] for one in answer.explained_by] == ["truncated dimensions"]
    assert "cannot be loaded here: no such model" in answer.notes[0]


def test_answers_are_kept_newest_first(tiny_cache: Path, checked: Callable[..., Checked], tmp_path: Path) -> None:
    from core.questions.check import checking, kept_checks
    from core.run import open_run
    from core.store import Store

    run = open_run("tiny", Store(tiny_cache))
    first = checked({"queries": rows(run)})
    (tmp_path / "vectors").rename(tmp_path / "before")
    second = checked({"queries": unit(rows(run))})
    assert [answer for _, answer in kept_checks(run)][:2] == [second, first]
    assert len(kept_checks(run)) <= checking.KEPT


def test_unavailable_settings_need_a_pass(own: Run) -> None:
    from dataclasses import replace

    from core.progress import NoProgress
    from core.questions.check.encoding import SampleEncoder
    from core.questions.check.given import Sample

    encoder = SampleEncoder(own, Sample(("queries",) * 2, np.arange(2), np.arange(2)), {}, NoProgress())
    with pytest.raises(NotAvailable, match="needs a forward pass"):
        encoder.rows(replace(encoder.base, layer=-2), np.arange(2))
