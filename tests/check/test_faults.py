"""Every fault that is planted is named, alone and in pairs; equal vectors are equal; another model is none of these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from planted import CANDIDATES, QUERIES, Planted, Way, spec_of, unit

if TYPE_CHECKING:
    from core.questions.check import Checked
    from core.run import Run

Check = Callable[..., "Checked"]
Plain = Callable[[Way], Planted]


def bare(processor: Any, turns: list[dict[str, Any]]) -> str:
    """No template: the parts one after the other."""
    return "".join("<image>" if part["type"] == "image" else part["text"] for part in turns[0]["content"])


def opened(processor: Any, turns: list[dict[str, Any]]) -> str:
    """The template with the answer header."""
    return processor.apply_chat_template(turns, add_generation_prompt=True)


def black(picture: Any, name: str) -> Any:
    from PIL import Image

    return Image.new("RGB", picture.size)


def left_out(picture: Any, name: str) -> None:
    return None


def its_id(picture: Any, name: str) -> str:
    return name


def small(picture: Any, name: str) -> Any:
    """As a client does that sends thumbnails."""
    from PIL import Image

    return picture.resize((32, 32), Image.Resampling.BILINEAR)


WAYS = {
    "template": Way(template=bare),
    "image missing": Way(image=left_out),
    "image sent as text": Way(image=its_id),
    "instruction": Way(instruction=False),
    "resolution": Way(image=small),
    "token limit": Way(tokens=32),
    "pooling": Way(pooling="last"),
    "layer": Way(layer=-3),
    "norm": Way(before_norm=True),
    "dtype": Way(dtype="bfloat16"),
}
"""Setting -> a way that differs from the run's in this setting."""


def order(rows: np.ndarray) -> np.ndarray:
    return np.random.default_rng(5).permutation(len(rows))


AFTER: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "normalisation": unit,
    "truncated dimensions": lambda rows: rows[:, :96],
    "rows shuffled": lambda rows: rows[order(rows)],
}
"""Setting -> what is done to finished rows."""


def done(vectors: Planted, setting: str) -> Planted:
    return {part: AFTER[setting](rows) for part, rows in vectors.items()}


def names(answer: Checked) -> set[str]:
    return {change["setting"] for change in answer.explained_by}


def test_the_plain_loop_is_the_run(plain: Plain, checked: Check) -> None:
    answer = checked(plain(Way()))
    assert answer.equal
    assert answer.explained_by == ()
    assert 0 < answer.max_difference < answer.tolerance < 1e-3
    assert answer.n == QUERIES + CANDIDATES
    assert answer.recall_reference == answer.recall_given is not None


@pytest.mark.parametrize("setting", WAYS)
def test_a_fault_of_the_request_is_named(setting: str, plain: Plain, checked: Check) -> None:
    answer = checked(plain(WAYS[setting]))
    assert not answer.equal
    assert names(answer) == {setting}


@pytest.mark.parametrize("setting", AFTER)
def test_a_fault_behind_the_model_is_named(setting: str, plain: Plain, checked: Check) -> None:
    answer = checked(done(plain(Way()), setting))
    assert not answer.equal
    assert names(answer) == {setting}


@pytest.mark.parametrize(
    ("way", "setting", "to"),
    [
        (Way(template=opened), "template", "with the answer header"),
        (Way(image=black), "image missing", "a black image"),
        (WAYS["token limit"], "token limit", "the first 32 tokens, template included"),
        (WAYS["resolution"], "resolution", "longest side 32 pixels, bilinear"),
        (WAYS["layer"], "layer", "-3"),
        (WAYS["dtype"], "dtype", "bfloat16"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_value_is_named_too(way: Way, setting: str, to: str, plain: Plain, checked: Check) -> None:
    (change,) = checked(plain(way)).explained_by
    assert (change["setting"], change["to"]) == (setting, to)


PAIRS: list[tuple[Way, str | None, set[str]]] = [
    (replace(WAYS["template"], pooling="last"), None, {"template", "pooling"}),
    (replace(WAYS["instruction"], layer=-2), None, {"instruction", "layer"}),
    (replace(WAYS["template"], instruction=False), None, {"template", "instruction"}),
    (replace(WAYS["pooling"], layer=-2), None, {"pooling", "layer"}),
    (replace(WAYS["instruction"], dtype="bfloat16"), None, {"instruction", "dtype"}),
    (replace(WAYS["image missing"], tokens=32), None, {"image missing", "token limit"}),
    (WAYS["image missing"], "normalisation", {"image missing", "normalisation"}),
    (WAYS["image sent as text"], "normalisation", {"image sent as text", "normalisation"}),
    (WAYS["resolution"], "truncated dimensions", {"resolution", "truncated dimensions"}),
    (WAYS["instruction"], "rows shuffled", {"instruction", "rows shuffled"}),
    (replace(WAYS["norm"], pooling="last"), None, {"norm", "pooling"}),
    (WAYS["norm"], "normalisation", {"norm", "normalisation"}),
    (WAYS["layer"], "rows shuffled", {"layer", "rows shuffled"}),
    (WAYS["token limit"], "truncated dimensions", {"token limit", "truncated dimensions"}),
]


@pytest.mark.parametrize(("way", "after", "both"), PAIRS, ids=["+".join(sorted(both)) for *_, both in PAIRS])
def test_two_faults_are_named(way: Way, after: str | None, both: set[str], plain: Plain, checked: Check) -> None:
    vectors = plain(way)
    answer = checked(done(vectors, after) if after else vectors)
    assert names(answer) == both


def test_truncated_and_normalised(plain: Plain, checked: Check) -> None:
    answer = checked(done(done(plain(Way()), "truncated dimensions"), "normalisation"))
    assert names(answer) == {"truncated dimensions", "normalisation"}


def test_files_that_were_taken_for_each_other(tiny: Run, plain: Plain, checked: Check) -> None:
    own = plain(Way())
    answer = checked({"queries": own["candidates"], "candidates": own["queries"]})
    (change,) = answer.explained_by
    assert (change["setting"], change["to"]) == ("query and document swapped", "the other file")


def test_queries_put_as_documents(tiny: Run, tmp_path_factory: Any, checked: Check) -> None:
    """A run whose prompts differ by side; its vectors by a run of the same items whose sides are exchanged."""
    from core import pipeline
    from core.config import EmbeddingSpec, ModelSpec, SaeSpec
    from core.models.prompts import STYLES
    from core.progress import NoProgress
    from core.store import Store

    model, sae = ModelSpec(name="demo-mllm", preset="vlm2vec"), SaeSpec(source="none")
    run = pipeline.run(
        spec_of("sides", model=model, sae=sae, embedding=EmbeddingSpec(poolings=("last",))),
        Store(tmp_path_factory.mktemp("sides")),
        NoProgress(),
    )
    style, adapter = STYLES["vlm2vec"], run.adapter()
    queries, candidates = (run.corpus.items(part) for part in ("queries", "candidates"))
    swapped = {
        "queries": [replace(queries.item(row), side="candidate") for row in range(len(queries))],
        "candidates": [replace(candidates.item(row), side="query") for row in range(len(candidates))],
    }
    assert style.turn(queries.item(0)) != style.turn(swapped["queries"][0])
    answer = checked({part: adapter.embed(items, [run.view])[run.view] for part, items in swapped.items()}, run)
    (change,) = answer.explained_by
    assert (change["setting"], change["to"]) == ("query and document swapped", "the other side's prompt")


def test_a_limit_that_only_the_longest_text_meets(tiny: Run, plain: Plain, checked: Check) -> None:
    """No usual limit: it lies between the longest text that is right and the shortest that is not."""
    items = tiny.corpus.items("candidates")
    lengths = sorted(tiny.adapter().lengths(items.items(range(len(items)))))
    limit = lengths[-1] - 1
    assert limit not in (16, 32, 64, 77) and lengths[len(lengths) // 2] <= limit
    (change,) = checked(plain(Way(tokens=limit))).explained_by
    assert (change["setting"], change["to"]) == ("token limit", f"the first {limit} tokens, template included")


@pytest.mark.parametrize("what", ["another model", "noise"])
def test_none_of_these(what: str, tiny: Run, checked: Check) -> None:
    if what == "noise":
        rng = np.random.default_rng(0)
        vectors = {part: rng.normal(size=tiny.embeddings(part).shape) for part in ("queries", "candidates")}
    else:
        from core.config import ModelSpec
        from core.models import load_model

        adapter = load_model(ModelSpec(name="demo-mllm-captioner"))
        items = {part: tiny.corpus.items(part) for part in ("queries", "candidates")}
        vectors = {
            part: adapter.embed(table.items(range(len(table))), [tiny.view])[tiny.view] for part, table in items.items()
        }
    answer = checked(vectors)
    assert not answer.equal
    assert answer.explained_by == ()
    assert "none of these" in answer.verdict
    assert len({one.setting for one in answer.tried}) >= 11


def test_half_a_fault_is_named(plain: Plain, checked: Check) -> None:
    """Candidates are right, the queries' pictures are missing."""
    answer = checked({"queries": plain(WAYS["image missing"])["queries"], "candidates": plain(Way())["candidates"]})
    assert names(answer) == {"image missing"}
    assert "Every image has the same vector" in answer.findings[0]


def test_recall_and_concepts(tiny: Run, plain: Plain, checked: Check) -> None:
    """Recall beside a plain ranking; the concepts beside the SAE on all rows, which are the sample."""
    given = plain(WAYS["image missing"])
    answer = checked(given)

    def recall(vectors: Planted) -> float:
        scores = unit(vectors["queries"].astype(float)) @ unit(vectors["candidates"].astype(float)).T
        first = [np.argsort(-row, kind="stable")[0] for row in scores.round(7)]
        right = [set(tiny.qrels().relevant(row).tolist()) for row in range(QUERIES)]
        return float(np.mean([best in some for best, some in zip(first, right, strict=True)]))

    assert answer.recall_reference == pytest.approx(recall({p: tiny.embeddings(p) for p in given}))
    assert answer.recall_given == pytest.approx(recall(given))
    assert answer.recall_on == f"all rows of the run: {QUERIES} queries against {CANDIDATES} candidates"
    from scipy.sparse import vstack

    means = np.asarray(vstack([tiny.codes("queries"), tiny.codes("candidates")]).mean(axis=0)).ravel()
    for moved in answer.concepts_moved:
        assert moved.reference == pytest.approx(means[moved.concept], abs=1e-3)
    gaps = [abs(one.given - one.reference) for one in answer.concepts_moved]
    assert gaps == sorted(gaps, reverse=True)
    assert len(gaps) == 10
