"""Compute what pages of the demo would wait for, in the background while the dashboard is already up: `python -m
core.demo.warm`.

Everything goes into the cache through the same questions the pages ask; a page that asks meanwhile waits for the same
answer.
"""

from __future__ import annotations

import subprocess
import sys

from core.demo.runs import MIXED
from core.run import Run, open_run
from core.store import Store

RUNS = ("demo", "demo-clip")
PAIRS = (RUNS, ("demo-task1", "demo-clip-task1"), ("demo-task7", "demo-clip-task7"))
"""Runs of both models on one task, as claims compare them."""
CAPTIONER = "demo-captioner"
SPEAKING = ("demo", "demo-task1", CAPTIONER)
"""Runs whose pictures are put into words; the first two hold the same pictures, which the model describes once."""
VARIANTS = ("none", "realign")


def warm(store: Store) -> None:
    """Removal curves, beta sweeps, recommended remedies, the Lesson, the study's exhibits, the specification curves of
    its claims on every task, maps, then the exhibits beyond the study, of the two main runs.

    Before the last, what the remedies compare: the main run once more without the study's prompts (`demo-chat.toml`),
    and the pictures in the models' own words, which takes minutes and is no part of `demo` itself. After it, the main
    run at the middle of the decoder (`demo-layer3.toml`), where the captioner is read, and the pool of several
    modalities.
    """
    from core import pipeline
    from core.config import load_spec
    from core.exhibits import show_exhibit
    from core.exhibits.claims import claims
    from core.questions import map, own_words, recommend, removal, retrieval

    runs = [open_run(name, store) for name in RUNS]
    for run in runs:
        removal.removal_curve(run)
        retrieval.gain_split(run)
        retrieval.beta_sweep(run)
        recommend.recommend(run)
        recommend.recommend(run, "none")
    for run, other in ((runs[0], runs[1]), (runs[1], runs[0])):
        _lesson(run, other)
    for name in _group("study"):
        show_exhibit(name, runs)
    for pair in PAIRS:  # claims by claim, each under all its settings: what the Overview of every run shows
        claims([open_run(name, store) for name in pair], curves="computed")
    for run in runs:
        for variant in VARIANTS:
            map.points(run, variant)
    pipeline.run(load_spec("demo-chat.toml"), store)
    for name in SPEAKING:
        own_words.make_captions(open_run(name, store))
    for name in _group("beyond"):
        show_exhibit(name, runs)
    pipeline.run(load_spec("demo-layer3.toml"), store)
    captioner = open_run(CAPTIONER, store)
    for name in ("answer", "remedies"):
        show_exhibit(name, [runs[0], captioner])
    mixed = open_run(MIXED, store)
    for name in ("mixed-pools", "modality-bias"):
        show_exhibit(name, [mixed])


def _lesson(run: Run, other: Run) -> None:
    """The example queries, which the model must describe, and the shape raw and centred."""
    from core.questions import compare, live

    live.well_described_first(run, compare.teaching_queries(run, other, "realign", limit=live.EXAMPLES))
    compare.shape(run, run, "none", "center")
    for stage in ("none", "center", "realign", "zca"):
        compare.similarities(run, run, "none", stage)


def _group(group: str) -> list[str]:
    from core.exhibits import EXHIBITS

    return [name for name, exhibit in EXHIBITS.items() if exhibit.group == group]


def start() -> None:
    """Begin in a process of its own that outlives this one; it says nothing."""
    silent = subprocess.DEVNULL
    subprocess.Popen(
        [sys.executable, "-m", "core.demo.warm"], stdin=silent, stdout=silent, stderr=silent, start_new_session=True
    )


if __name__ == "__main__":
    warm(Store.default())
