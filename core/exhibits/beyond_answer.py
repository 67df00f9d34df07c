"""Read one token too early? Where the study embeds, and where the model begins to answer, on the same queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from core.analysis.retrieval import Evaluation
from core.errors import NotAvailable
from core.exhibits.shared.agreement import by_direction
from core.exhibits.shared.records import Exhibit, Verdict
from core.exhibits.shared.rows import METRIC, each_run, gain, head, need_pairs, recalls
from core.exhibits.shared.tables import stored
from core.exhibits.shared.words import PAIRED_YES, REALIGN
from core.questions.retrieval import evaluate
from core.questions.views import evaluate_view, evaluate_words
from core.run import Run

SETTING = 'poolings = ["mean", "last", "answer"]'
WORDS_SETTING = 'words = ["answer", "last"]'
MEAN, LAST, ANSWER = "mean of all tokens", "last token, no header", "where the answer begins"
LAST_WORDS, ANSWER_WORDS = "next words at the last token, no header", "next words where the answer begins"
WITHOUT_HEADER = {ANSWER: LAST, ANSWER_WORDS: LAST_WORDS}
"""A reading behind the answer header -> the same reading without one."""


def compute(runs: Sequence[Run], metric: str = "recall@1") -> pd.DataFrame:
    """A row per reading and variant: recalls, and in `metric` gain (to the raw mean), beyond_realign (to ReAlign of the
    mean) and beyond_no_header (to the same reading at the last token)."""
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    for run in runs:
        evaluations = _readings(run)
        raw, realign = evaluations[MEAN, "none"], evaluations[MEAN, "realign"]
        for (reading, variant), evaluation in evaluations.items():
            closed = evaluations.get((WITHOUT_HEADER.get(reading, reading), variant), evaluation)
            compared = (
                gain(raw, evaluation, metric)
                | gain(realign, evaluation, metric, "beyond_realign")
                | gain(closed, evaluation, metric, "beyond_no_header")
            )
            named = {"reading": reading, "variant": variant}
            rows.append(head(run) | named | recalls(evaluation) | {"metric": metric} | compared)
        if missing := {"answer", "last"} - set(run.spec.embedding.words):
            where = " and ".join(sorted(missing))
            notes.append(
                f"next words at {where} are not stored: put {WORDS_SETTING} under [embedding] of the spec and run it"
                " again"
            )
    table = pd.DataFrame(rows)
    table.attrs = {"notes": notes}
    return table


def _readings(run: Run) -> dict[tuple[str, str], Evaluation]:
    """(reading, variant) -> its evaluation, in the order of the table; the mean is of the run's own layer and mask."""
    first = run.view
    views = {
        MEAN: replace(first, pooling="mean"),
        LAST: replace(first, pooling="last"),
        ANSWER: replace(first, pooling="answer", mask="all"),
    }
    evaluations: dict[tuple[str, str], Evaluation] = {}
    for reading, view in views.items():
        for variant in ("none", "center", "realign"):
            own = view == first
            evaluations[reading, variant] = (
                evaluate(run, variant).evaluation if own else evaluate_view(run, view, variant)
            )
    if "last" in run.spec.embedding.words:
        evaluations[LAST_WORDS, "none"] = evaluate_words(run, "last")
    if "answer" in run.spec.embedding.words:
        evaluations[ANSWER_WORDS, "none"] = evaluate_words(run, "answer")
    return evaluations


def judge(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Whether the header lifts the raw state and the next words; beside it, whether the state does better than ReAlign
    of the mean."""
    verdicts = []
    for name, rows in each_run(table[table["variant"] == "none"]):
        by_reading = {row["reading"]: row for row in rows.to_dict("records")}
        answer, words = by_reading[ANSWER], by_reading.get(ANSWER_WORDS)
        metric = answer["metric"]
        what = f"{metric} where the answer begins minus the last token without header"
        verdicts.append(by_direction(name, what, answer, +1, "beyond_no_header"))
        what = f"{metric} where the answer begins, raw, minus ReAlign of the mean"
        verdicts.append(by_direction(name, what, answer, +1, "beyond_realign", "beside"))
        if words and LAST_WORDS in by_reading:
            what = f"{metric} of the next words where the answer begins minus those at the last token without header"
            verdicts.append(by_direction(name, what, words, +1, "beyond_no_header", "beside"))
    return tuple(verdicts)


def check(run: Run) -> None:
    """NotAvailable for a run without pairs, or that does not store mean, last token and answer of its layer."""
    need_pairs(run)
    stored(run, "pooling", SETTING)
    first = run.view
    wanted = (
        replace(first, pooling="mean"),
        replace(first, pooling="last"),
        replace(first, pooling="answer", mask="all"),
    )
    if missing := [view.pooling for view in wanted if view not in run.views]:
        raise NotAvailable(
            f"run {run.name!r} does not store {' and '.join(map(repr, missing))}",
            got=", ".join(dict.fromkeys(view.pooling for view in run.views)),
            todo=f"put {SETTING}, {WORDS_SETTING} and cross = false under [embedding] of its spec, then "
            "`retrieval-lens run SPEC.toml`; it says so where the model has no answer header",
        )


EXHIBIT = Exhibit(
    name="answer",
    title="Read where the model answers",
    claim="Is the embedding read one token too early?",
    definition=(
        "The study pools the user's turn. The state behind the answer header (the chat template's generation prompt) is"
        " the one that predicts the first word of the answer; PromptEOL (arXiv 2307.16645) and E5-V (arXiv 2407.12580)"
        " read there. Beside it the mean and the last token of the same turn without header, raw, centred per side and"
        f" with ReAlign. {REALIGN} Next words: the 256 largest probabilities at that position, square roots, ranked by"
        " dot product, as learned sparse retrievers are."
    ),
    rule=(
        f"{PAIRED_YES}. Difference: where the answer begins minus the last token without header, both raw. Beside it:"
        " the same minus ReAlign of the mean, and the next words with minus without header."
    ),
    compute=compute,
    judge=judge,
    group="beyond",
    check=check,
    options=(replace(METRIC, default="recall@1"),),
    needs=f"a chat model whose template has an answer header, with {SETTING}; {WORDS_SETTING} for next words",
)
