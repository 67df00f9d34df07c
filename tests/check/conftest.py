"""A tiny run of demo-mllm, vectors of its items by a plain loop, and a check of vectors that lie in a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from planted import CANDIDATES, QUERIES, Planted, Way, embedded, spec_of

if TYPE_CHECKING:
    from core.questions.check import Checked
    from core.run import Run


@pytest.fixture(scope="session")
def tiny_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a cache with the run `tiny`."""
    from core import pipeline
    from core.progress import NoProgress
    from core.store import Store

    root = tmp_path_factory.mktemp("check-cache")
    pipeline.run(spec_of("tiny"), Store(root), NoProgress())
    return root


@pytest.fixture(scope="session")
def tiny(tiny_cache: Path) -> Run:
    from core.run import open_run
    from core.store import Store

    return open_run("tiny", Store(tiny_cache))


@pytest.fixture(scope="session")
def plain(tiny: Run) -> Callable[[Way], Planted]:
    """`plain(way)`: queries and candidates of `tiny` by the plain loop; each way is computed once."""
    made: dict[Way, Planted] = {}

    def embed(way: Way) -> Planted:
        if way not in made:
            made[way] = {part: embedded(tiny, part, way) for part in ("queries", "candidates")}
        return made[way]

    return embed


@pytest.fixture
def checked(tiny: Run, tmp_path: Path) -> Callable[..., Checked]:
    """`checked(vectors)`: the answer on these vectors, written to a folder and read from there."""
    from core.questions.check import check, read_vectors

    def answer(vectors: Planted, run: Run = tiny, number: int = QUERIES + CANDIDATES, **more: Any) -> Checked:
        folder = tmp_path / "vectors"
        folder.mkdir()
        for part, rows in vectors.items():
            np.save(folder / f"{part}.npy", rows)
        return check(run, read_vectors(run, folder), number, **more)

    return answer
