"""The specification curve of a claim: the same question under every setting of its exhibit that can be had.

1. The exhibit's table is made and judged once per setting of its grid, on the verdict's runs and on their siblings: the
   same models and settings on another task.
2. A verdict that some settings confirm and others contradict depends on a choice; it is never a plain yes or no.
3. The choice it depends on is the one that tells the outcomes apart best (information gain).
4. A setting whose dictionary fails the gate (`gate.py`) is marked; it neither agrees nor disagrees.

Curves are kept in the cache, one per task. Simonsohn, Simmons and Nelson 2020 call this a specification curve.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from math import log2
from typing import Any, Literal

import pandas as pd

from core.errors import NotAvailable
from core.exhibits.shared.gate import Standing, Thresholds, standing
from core.exhibits.shared.records import Exhibit, Outcome, Setting, Settings, Value, Verdict
from core.questions.answers import cached_table, cached_table_if_there
from core.run import Run, list_runs
from core.waiting import pause

Curves = Literal["computed", "cached", "none"]
"""Whether a missing curve is computed now, or left open; none: a verdict under its own setting alone."""
VERSION = 2
WORDS = {
    "task": "the task",
    "metric": "the metric",
    "least": "the least number of firings",
    "counted": "whether concepts are counted once or by energy",
    "items": "how many items of each modality",
    "dominates": "what text must be more than",
    "share": "the size of the set",
    "sets": "which sets are compared",
    "dictionary": "the dictionary",
    "statistics": "whose statistics",
    "beta": "the shrinkage",
}
"""Option -> the choice, as a reader calls it."""
PENDING = "its other settings are not computed yet"


def curve(
    exhibit: Exhibit, runs: Sequence[Run], options: Mapping[str, Value], how: Curves = "computed"
) -> tuple[Setting, ...] | None:
    """Every setting of the exhibit on the runs of one verdict, and on their siblings; None where it is not there yet.

    `options` are those of the verdict itself: their setting is marked as the default.
    """
    assert exhibit.grid is not None
    every: list[Setting] = []
    for group in (tuple(runs), *siblings(runs)):
        table = _of_group(exhibit, group, how)
        if table is None:
            return None
        every += _settings(table, mine=group == tuple(runs), options=options)
    return tuple(every)


def survived(verdict: Verdict, settings: Sequence[Setting] | None) -> Verdict:
    """The verdict with what is left of it under all settings."""
    if verdict.outcome == "cannot be said":
        return verdict
    if settings is None:
        # One setting alone never settles a claim: the others may say the opposite.
        outcome: Outcome = "not settled" if verdict.outcome in ("agrees", "disagrees") else verdict.outcome
        return replace(verdict, outcome=outcome, why=f"{verdict.why}; {PENDING}")
    said = [one for one in settings if one.outcome != "cannot be said"]
    outcomes = Counter(one.outcome for one in said)
    barred = sum(bool(one.barred) for one in settings)
    counted = replace(verdict, settings=Settings(outcomes["agrees"], len(said), barred))
    why = f"{verdict.why}; agrees in {outcomes['agrees']} of {len(said)} settings, disagrees in {outcomes['disagrees']}"
    if barred:
        why += f", {barred} not counted (their dictionary fails the gate)"
    if not (outcomes["agrees"] and outcomes["disagrees"]):
        return replace(counted, why=why)
    name, sides = depends_on(said)
    why += f": it depends on {WORDS.get(name, name)} ({sides})"
    return replace(counted, outcome="depends", why=why, depends_on=name)


def table_of(settings: Sequence[Setting]) -> pd.DataFrame:
    """A curve as a table, a row per setting: DataFrame[on, outcome, value, low, high, n, default, `barred` where a
    dictionary fails the gate, and a text per choice that is not the same in all]."""
    numbers = ["on", "outcome", "value", "low", "high", "n", "default"]
    numbers += ["barred"] * any(one.barred for one in settings)
    names = list(dict.fromkeys(name for one in settings for name in one.choices))
    vary = [name for name in names if len({one.choices.get(name) for one in settings}) > 1]
    rows = [
        {column: getattr(one, column) for column in numbers} | {name: str(one.choices.get(name, "")) for name in vary}
        for one in settings
    ]
    return pd.DataFrame(rows, columns=[*numbers, *vary])


def depends_on(settings: Sequence[Setting]) -> tuple[str, str]:
    """The choice that tells agreeing from disagreeing settings best, and which values do what."""
    clear = [one for one in settings if one.outcome in ("agrees", "disagrees")]
    names = list(dict.fromkeys(name for one in clear for name in one.choices))
    name = max(names, key=lambda name: _information(name, clear))
    by_value: dict[Value, Counter[str]] = {}
    for one in clear:
        by_value.setdefault(one.choices[name], Counter())[one.outcome] += 1
    sides = "; ".join(
        f"{value}: {count['agrees']} agree, {count['disagrees']} disagree" for value, count in by_value.items()
    )
    return name, sides


def _information(name: str, settings: Sequence[Setting]) -> float:
    """How much knowing one choice tells of the outcome, in bits."""

    def entropy(counts: Counter[str]) -> float:
        total = sum(counts.values())
        return -sum(n / total * log2(n / total) for n in counts.values())

    by_value: dict[Any, Counter[str]] = {}
    for one in settings:
        by_value.setdefault(one.choices.get(name), Counter())[one.outcome] += 1
    left = sum(sum(c.values()) * entropy(c) for c in by_value.values()) / len(settings)
    return entropy(Counter(one.outcome for one in settings)) - left


def siblings(runs: Sequence[Run]) -> Iterator[tuple[Run, ...]]:
    """The same models under the same settings on the other tasks of the cache, run for run on one corpus."""
    by_task: dict[tuple[str, str, int], dict[int, Run]] = {}
    for other in list_runs(runs[0].store):
        for at, run in enumerate(runs):
            if _alike(run, other) and other.folder.facts["corpus"] != run.folder.facts["corpus"]:
                spec = other.spec.corpus
                place = (spec.source, spec.path or "", spec.task)
                by_task.setdefault(place, {}).setdefault(at, other)  # the newest of each
    for _, on_task in sorted(by_task.items(), key=lambda entry: entry[0]):
        corpora = {run.folder.facts["corpus"] for run in on_task.values()}
        if len(on_task) == len(runs) and len(corpora) == 1:
            yield tuple(on_task[at] for at in range(len(runs)))


def _alike(run: Run, other: Run) -> bool:
    """Whether two runs differ in their task only. Task 0 is no other task of the study: in a pool of several modalities
    its claims were not made."""
    mine, theirs = run.spec, other.spec
    if 0 in (mine.corpus.task, theirs.corpus.task):
        return False
    same = replace(theirs, name=mine.name, corpus=replace(theirs.corpus, task=mine.corpus.task)) == mine
    return same and run.folder.facts["model_key"] == other.folder.facts["model_key"]


def _of_group(exhibit: Exhibit, runs: Sequence[Run], how: Curves) -> pd.DataFrame | None:
    """DataFrame[on, task, choices (JSON), outcome, value, low, high, n] of one task; empty where runs cannot take
    part."""
    assert exhibit.grid is not None
    try:
        if exhibit.check:
            for run in runs:
                exhibit.check(run)
        grid = [exhibit.computed(exhibit.read_options(choices)) for choices in exhibit.grid(runs)]
    except NotAvailable:
        return pd.DataFrame()
    question = f"settings-{exhibit.name}"
    arguments = {
        "grid": grid,
        "runs": [run.key for run in runs],
        "families": [run.family for run in runs],
        "version": [exhibit.version, VERSION],
    }
    if how == "cached":
        return cached_table_if_there(runs[0], question, arguments)
    return cached_table(runs[0], question, arguments, lambda: _measure(exhibit, runs, grid))


def _measure(exhibit: Exhibit, runs: Sequence[Run], grid: Sequence[Mapping[str, Value]]) -> pd.DataFrame:
    assert exhibit.judge is not None
    rows = []
    standings: dict[tuple[Value | None, ...], list[Standing]] = {}
    for choices in grid:
        pause()
        # What the gate asks hangs on the dictionary and the recall alone.
        place = tuple(choices.get(name) for name in ("dictionary", "metric"))
        if exhibit.gate and place not in standings:
            standings[place] = [standing(run, choices) for run in runs]
        judged = exhibit.judge(exhibit.compute(runs, **choices))
        verdict = next(v for v in judged if v.about == "claim")
        value = verdict.difference if verdict.difference is not None else verdict.value
        numbers = {"value": value, "low": verdict.low, "high": verdict.high, "n": verdict.n}
        rows.append(
            {"on": verdict.on, "task": runs[0].spec.corpus.task, "choices": json.dumps(dict(choices))}
            | {"outcome": verdict.outcome, "standings": json.dumps([asdict(one) for one in standings.get(place, [])])}
            | numbers
        )
    return pd.DataFrame(rows)


def _settings(table: pd.DataFrame, mine: bool, options: Mapping[str, Value]) -> Iterator[Setting]:
    every = [json.loads(text) for text in table["choices"]] if len(table) else []
    vary = {name for choices in every for name in choices if len({str(other.get(name)) for other in every}) > 1}
    least = Thresholds.of(options)
    for row, choices in zip(table.to_dict("records"), every, strict=True):
        standings = [Standing(**one) for one in json.loads(row["standings"])]
        barred = "; ".join(failure for one in standings if (failure := one.failure(least)))
        numbers = {name: None if pd.isna(row[name]) else float(row[name]) for name in ("value", "low", "high")}
        yield Setting(
            on=str(row["on"]),
            choices={"task": int(row["task"])} | choices,
            outcome="cannot be said" if barred else row["outcome"],
            barred=barred,
            n=None if pd.isna(row["n"]) else int(row["n"]),
            default=mine and all(choices.get(name) == value for name, value in options.items() if name in vary),
            **numbers,
        )
