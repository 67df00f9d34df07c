"""The eight runs of the embedded demo and their summary.

Two models x three tasks: `demo` (demo-mllm, image -> text), `demo-task1`, `demo-task7`, and `demo-clip`,
`demo-clip-task1`, `demo-clip-task7` beside them. `demo-captioner`: image -> text once more, with a model that differs
from demo-mllm in its last stage alone and was never asked for one word. `demo-mixed`: the captions of `demo-task1` in a
pool of pictures, captions, and both together; only its candidates are encoded anew. Everything goes through the same
pipeline as any other run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.config import CorpusSpec, EmbeddingSpec, ModelSpec, RunSpec, SaeSpec
from core.progress import Progress
from core.store import Store

if TYPE_CHECKING:
    import pandas as pd

    from core.exhibits.claims import Claim
    from core.run import Run

TASKS = {4: "", 1: "-task1", 7: "-task7"}
MLLM_VIEWS = EmbeddingSpec(
    layers=(-1, 0, 1, 2, 3, 4, 5),
    poolings=("mean", "last", "max", "min", "answer"),
    masks=("all", "no-image", "no-prompt"),
    cross=False,
    words=("answer", "last"),
)
"""What figures 4 and 5, table 5 and the reading where the model answers compare: one pass over the items, thirteen
embeddings and two next-word distributions of each."""
CAPTIONER_VIEWS = EmbeddingSpec(poolings=("mean", "last", "answer"), cross=False, words=("answer", "last"))
"""What the captioner is compared by: where it is read."""
MODELS = {"demo-mllm": "demo", "demo-clip": "demo-clip"}
CAPTIONER = "demo-mllm-captioner"
MIXED = "demo-mixed"
"""Run over a pool of several modalities."""
VIEWS = {"demo-mllm": MLLM_VIEWS, CAPTIONER: CAPTIONER_VIEWS, "demo-clip": EmbeddingSpec()}
SUMMARY_COLUMNS = (
    "run",
    "model",
    "task",
    "queries",
    "candidates",
    "R@1 before",
    "R@1 after",
    "R@5 before",
    "R@5 after",
)
TASK_WORDS = {0: "text -> image, text or both", 1: "text -> image", 4: "image -> text", 7: "image+text -> image"}


def demo_specs() -> list[RunSpec]:
    """The specs of the runs, the main one first."""
    both = [_spec(model, name + suffix, task) for task, suffix in TASKS.items() for model, name in MODELS.items()]
    return [*both, _spec(CAPTIONER, "demo-captioner", 4), _spec("demo-mllm", MIXED, 0)]


def _spec(model: str, name: str, task: int) -> RunSpec:
    return RunSpec(
        name=name,
        corpus=CorpusSpec(source="demo", task=task),
        model=ModelSpec(name=model),
        embedding=VIEWS[model],
        sae=SaeSpec(source="shipped"),
    )


@dataclass(frozen=True, eq=False)
class Demo:
    """What `demo` prints: recall of the runs, and what they say about the study's claims."""

    summary: pd.DataFrame
    claims: tuple[Claim, ...]
    """Of the main runs of both models; specification curves not computed yet are left to `warm` or `claims`."""


def make_demo(store: Store, progress: Progress) -> Demo:
    """Make all runs (or find them), evaluate each raw and with ReAlign, and judge the study's claims."""
    import pandas as pd

    from core import pipeline
    from core.exhibits.claims import claims

    made = {}
    for spec in demo_specs():
        progress.say(f"[bold]{spec.run_name}[/bold]: {spec.model.name}, {TASK_WORDS[spec.corpus.task]}")
        made[spec.run_name] = pipeline.run(spec, store, progress)
    summary = pd.DataFrame([_summary(run) for run in made.values()], columns=list(SUMMARY_COLUMNS))
    return Demo(summary, claims([made["demo"], made["demo-clip"]], curves="cached"))


def _summary(run: Run) -> tuple[object, ...]:
    from core.questions import concepts, retrieval

    concepts.table(run)  # the measures, so that no page waits for them
    before, after = retrieval.evaluate(run, "none"), retrieval.evaluate(run, "realign")
    percent = [f"{100 * e.evaluation.recall[k]:.1f}" for k in (1, 5) for e in (before, after)]
    sizes = before.evaluation.queries, before.evaluation.candidates
    return run.name, run.model_name, TASK_WORDS[run.spec.corpus.task], *sizes, *percent
