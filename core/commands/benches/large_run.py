"""A large run in the store, without a model: what every stage takes, from the first row to the first answers.

In: a number of items. Out: rows of a table, each with seconds, peak memory and bytes on disk. Every step is done in a
process of its own, so that its peak memory is its own; the corpus of `world.py` goes through the project's own stages.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.commands.benches.apart import alone
from core.commands.benches.world import Size, large_spec, write_world
from core.store import Store

if TYPE_CHECKING:
    from core.run import Run


@dataclass(frozen=True)
class Step:
    """One step of a large run.

    Attributes:
        what: in words.
        seconds: wall clock.
        peak_gib: largest resident memory of its process; files that it has mapped count as far as they were read. None:
            that of the whole run stands in the row of all stages.
        disk_gib: of the folders that it wrote.
    """

    what: str
    seconds: float
    peak_gib: float | None
    disk_gib: float = 0.0


def large_run(items: int, width: int = 256, folder: Path | None = None) -> Iterator[Step]:
    """Write a corpus of `items` candidates with vectors of that width, take it in, and ask what pages ask first.

    Args:
        folder: where everything is kept; None: a temporary folder, deleted afterwards.
    """
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) if folder is None else folder
        size = Size.of(items, width)
        yield from (Step(**step) for work in STEPS for step in alone(work, str(root), asdict(size))["steps"])


def make_large(root: Path, size: Size) -> None:
    """Write the corpus and make its run in the cache below `root`; what is there already is kept."""
    for work in STEPS[:2]:
        alone(work, str(root), asdict(size))


def large_store(root: Path) -> Store:
    """The cache of a large run."""
    return Store(root / "cache")


def _written(root: str, size: dict[str, Any]) -> dict[str, Any]:
    folder, started = Path(root) / "source", time.perf_counter()
    if folder.exists():
        return {"steps": []}
    write_world(folder, Size(**size))
    seconds = time.perf_counter() - started
    return {"steps": [asdict(Step("source files written", seconds, peak_gib(), _gib_in(folder)))]}


def _made(root: str, size: dict[str, Any]) -> dict[str, Any]:
    """The run; each stage's seconds are those of its manifests."""
    from core import pipeline
    from core.progress import RichProgress

    store, spec = large_store(Path(root)), large_spec(Path(root) / "source")
    started = time.perf_counter()
    pipeline.run(spec, store, RichProgress())
    whole = time.perf_counter() - started
    names = {"corpus": "ingest", "encode": "own embeddings taken in", "sae": "SAE taken in", "codes": "codes"}
    steps = []
    for stage, name in names.items():
        folders = store.folders(stage)
        seconds = sum(float(folder.manifest["seconds"]) for folder in folders)
        steps.append(Step(name, seconds, None, sum(_gib_in(folder.path) for folder in folders)))
    steps.append(Step("the run, all stages", whole, peak_gib(), sum(step.disk_gib for step in steps)))
    return {"steps": [asdict(step) for step in steps]}


def _measured(root: str, size: dict[str, Any]) -> dict[str, Any]:
    from core.questions import concepts

    return _asked(root, "the four measures and labels of all concepts", concepts.table)


def _evaluated(root: str, size: dict[str, Any]) -> dict[str, Any]:
    from core.questions import retrieval

    return _asked(root, "evaluation, raw embeddings", lambda run: retrieval.evaluate(run, "none"))


def _whitened(root: str, size: dict[str, Any]) -> dict[str, Any]:
    from core.questions import retrieval

    return _asked(root, "evaluation, ReAlign", lambda run: retrieval.evaluate(run, "realign"))


def _pages(root: str, size: dict[str, Any]) -> dict[str, Any]:
    """What a page asks for one concept, one pair and one query, once a run is opened and its first answers cached."""
    from core.questions import concepts, retrieval, similarity

    def ask(run: Run) -> None:
        steps.append(_clocked("a concept, first", lambda: concepts.concept(run, 7)))
        steps.append(_clocked("a concept, next", lambda: concepts.concept(run, 8)))
        steps.append(_clocked("a pair, first", lambda: similarity.pair(run, 0, 0, "none")))
        steps.append(_clocked("a pair, next", lambda: similarity.pair(run, 1, 3, "none")))
        steps.append(_clocked("one query before and after ReAlign, first", lambda: retrieval.rankings(run, 0)))
        steps.append(_clocked("one query before and after ReAlign, next", lambda: retrieval.rankings(run, 1)))

    steps: list[Step] = []
    _asked(root, "", ask)
    return {"steps": [asdict(step) for step in steps]}


STEPS: tuple[Callable[[str, dict[str, Any]], dict[str, Any]], ...] = (
    _written, _made, _measured, _evaluated, _whitened, _pages,
)  # fmt: skip


def _asked(root: str, what: str, question: Callable[[Run], object]) -> dict[str, Any]:
    """One question of the run, opened in this process."""
    from core.run import open_run

    store, before = large_store(Path(root)), _gib_in(large_store(Path(root)).root / "answer")
    step = _clocked(what, lambda: question(open_run("large", store)))
    gained = _gib_in(store.root / "answer") - before
    return {"steps": [asdict(Step(what, step.seconds, step.peak_gib, gained))]}


def _clocked(what: str, work: Callable[[], object]) -> Step:
    started = time.perf_counter()
    work()
    return Step(what, time.perf_counter() - started, peak_gib())


def _gib_in(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**30


def peak_gib() -> float:
    """Largest resident memory of this process so far; mapped files count as far as they were read."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)
