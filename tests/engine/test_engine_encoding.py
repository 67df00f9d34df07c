"""What workers encode is what this process encodes, whatever happens to workers, items and the run."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import engine_models  # type: ignore[import-not-found]
import numpy as np
import pytest
from engine_models import FACTS, VIEWS, Model

from core.corpus import Corpus
from core.encode import encode_part
from core.engine import Session
from core.engine.encoding import EncodeJob
from core.errors import ModelError
from core.progress import NoProgress, Task
from core.records import EmbeddingView, Item
from core.store import Folder, Store

pytestmark = pytest.mark.usefixtures("windows")
BATCH_TOKENS = 24


@pytest.fixture(scope="module", autouse=True)
def model_travels() -> None:
    """Workers know nothing of this folder: the model's class is sent along."""
    ray = pytest.importorskip("ray", reason="the extra [scale] is not installed")
    ray.cloudpickle.register_pickle_by_value(engine_models)


class Watching(NoProgress):
    """Calls a function with the number of windows that have come so far."""

    def __init__(self, came: Callable[[int], None] = lambda number: None) -> None:
        self.came, self.number, self.lines = came, 0, []  # type: ignore[var-annotated]

    @contextmanager
    def task(self, name: str, total: int | None = None) -> Iterator[Task]:
        yield self  # type: ignore[misc]

    def advance(self, n: int = 1) -> None:
        self.number += bool(n)
        self.came(self.number)

    def note(self, text: str) -> None:
        self.worker = text

    def say(self, text: str) -> None:
        self.lines.append(text)


def job(share: float = 0.0, **poison: object) -> EncodeJob:
    return EncodeJob(FACTS, partial(Model, **poison), VIEWS, (), BATCH_TOKENS, share)  # type: ignore[arg-type]


def store_of(corpus: Corpus) -> Store:
    return Store(corpus.folder.path.parents[1])


def by_workers(
    session: Session, corpus: Corpus, progress: Watching | None = None, work: EncodeJob | None = None
) -> dict[str, Folder]:
    parts = ["queries", "candidates"]
    return (work or job()).folders(session, corpus, parts, store_of(corpus), progress or Watching())  # type: ignore[arg-type, return-value]


class Counting(Model):
    """Remembers what it encodes."""

    def __init__(self) -> None:
        super().__init__()
        self.items: list[str] = []

    def embed(self, items: Sequence[Item], views: Sequence[EmbeddingView]) -> dict[EmbeddingView, np.ndarray]:
        self.items += [item.id for item in items]
        return super().embed(items, views)


def here(corpus: Corpus, part: str, root: Path, model: Model | None = None) -> Folder:
    """The same by this process."""
    table, load = corpus.items(part), lambda: model or Model()  # type: ignore[arg-type]
    return encode_part(table, FACTS, load, VIEWS, Store(root), NoProgress(), BATCH_TOKENS)  # type: ignore[arg-type]


def checksums(folder: Folder) -> dict[str, str]:
    return {name: entry["sha256"] for name, entry in folder.manifest["files"].items()}


def test_content_key_and_digest_are_those_of_a_local_run(session: Session, corpus: Corpus, tmp_path: Path) -> None:
    shared = tmp_path / "seen-by-all"
    shared.mkdir()
    made = by_workers(replace(session, shared=shared), corpus)
    for part, folder in made.items():
        local = here(corpus, part, tmp_path / "local")
        assert checksums(folder) == checksums(local)
        assert (folder.key, folder.digest) == (local.key, local.digest)
        assert {k: folder.facts[k] for k in ("tokens", "padded_tokens", "outliers")} == {
            k: local.facts[k] for k in ("tokens", "padded_tokens", "outliers")
        }
    engine = made["queries"].facts["engine"]
    assert (engine["name"], engine["workers"]) == ("ray", 2)
    assert sorted(start for starts in engine["shards"].values() for start in starts) == [0, 4, 8, 12, 16, 20]
    assert list(shared.iterdir()) == []


def test_a_worker_killed_three_times_costs_its_windows_only(session: Session, corpus: Corpus, tmp_path: Path) -> None:
    killed: list[int] = []

    def kill(number: int) -> None:
        if number in {2, 5, 8} and progress.worker:
            pid = int(progress.worker.rpartition("/")[2])
            killed.append(pid)
            os.kill(pid, signal.SIGKILL)
            progress.worker = ""

    progress = Watching(kill)
    progress.worker = ""
    made = by_workers(session, corpus, progress)
    assert len(killed) == 3
    for part, folder in made.items():
        local = here(corpus, part, tmp_path / "local")
        assert (checksums(folder), folder.digest) == (checksums(local), local.digest)
        assert "bad" not in folder.facts


def test_a_run_that_was_interrupted_goes_on_here_or_there(session: Session, corpus: Corpus, tmp_path: Path) -> None:
    def stop(number: int) -> None:
        if number == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        by_workers(session, corpus, Watching(stop))
    counting = Counting()
    begun = here(
        corpus, "queries", store_of(corpus).root, counting
    )  # this process goes on with what workers have begun
    assert len(counting.items) < 24
    local = {part: here(corpus, part, tmp_path / "local") for part in ("queries", "candidates")}
    assert checksums(begun) == checksums(local["queries"])
    progress = Watching()
    made = by_workers(session, corpus, progress)
    assert progress.number < 12 - 3
    assert {part: checksums(folder) for part, folder in made.items()} == {
        part: checksums(folder) for part, folder in local.items()
    }


def test_poisoned_items_become_bad_rows_with_their_reasons(
    session: Session, corpus: Corpus, photos: Path, tmp_path: Path
) -> None:
    local = {part: here(corpus, part, tmp_path / "local") for part in ("queries", "candidates")}
    ids = {part: corpus.items(part).ids for part in ("queries", "candidates")}  # type: ignore[arg-type]
    (photos / "03.png").unlink()
    (photos / "10.png").write_bytes(b"no picture")
    poison = {"raises": ids["queries"][6], "kills": ids["candidates"][9], "uncounted": ids["candidates"][2]}
    with pytest.raises(ModelError, match="cannot be encoded; got .*; allowed: 1.0%"):
        by_workers(session, corpus, work=job(share=0.01, **poison))
    progress = Watching()
    made = by_workers(session, corpus, progress, job(share=0.2, **poison))
    reasons = {part: {one["row"]: one["reason"] for one in folder.facts["bad"]} for part, folder in made.items()}
    assert reasons["queries"].keys() == {3, 6, 10}
    assert "no such file" in reasons["queries"][3] and "has changed" in reasons["queries"][10]
    assert reasons["queries"][6] == "mat1 and mat2 shapes cannot be multiplied"
    assert reasons["candidates"] == {
        2: "absolute aspect ratio must be smaller than 200",
        9: "2 workers died while they encoded it",
    }
    for part, folder in made.items():
        rows, expected = folder.array(str(VIEWS[0])), np.array(local[part].array(str(VIEWS[0])))
        expected[list(reasons[part])] = 0
        assert np.array_equal(rows, expected)
        assert (folder.array("n_tokens")[list(reasons[part])] == 0).all()
        assert folder.key == local[part].key and folder.digest != local[part].digest
    assert any("3 of 24 queries could not be encoded" in line for line in progress.lines)
