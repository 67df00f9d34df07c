"""Two workers on this machine for all tests of the engine; skipped without Ray, and unless RETRIEVAL_LENS_LONG_TESTS is
set: Ray gives its own processes 30 seconds to start, which a busy machine does not keep."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core import encode
from core.config import CorpusSpec
from core.corpus import Corpus, build_corpus
from core.engine import Cluster, Session, connected
from core.store import Store

ITEMS = 24
OBJECT_STORE = 200 * 2**20


@pytest.fixture(autouse=True)
def asked_for() -> None:
    """Nothing here runs unasked."""
    if not os.environ.get("RETRIEVAL_LENS_LONG_TESTS"):
        pytest.skip("RETRIEVAL_LENS_LONG_TESTS is not set")


@pytest.fixture(scope="session")
def session() -> Iterator[Session]:
    """RETRIEVAL_LENS_TEST_RAY names a cluster that is there already."""
    pytest.importorskip("ray", reason="the extra [scale] is not installed")
    cluster = Cluster(
        os.environ.get("RETRIEVAL_LENS_TEST_RAY"), workers=2, gpus_per_worker=0, object_store=OBJECT_STORE
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RETRIEVAL_LENS_DEVICE", "cpu")  # told, a worker need not load torch to look
        with connected(cluster) as workers:
            yield workers


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small windows, so that a few items make several."""
    monkeypatch.setattr(encode, "WINDOW", 4)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of small pictures with captions of different lengths."""
    folder = tmp_path / "photos"
    folder.mkdir()
    random = np.random.default_rng(0)
    for at in range(ITEMS):
        pixels = random.integers(0, 255, (8, 8 + at, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{at:02d}.png")
        (folder / f"{at:02d}.txt").write_text("x" * (1 + 7 * at % 11) + f" {at}")
    return folder


@pytest.fixture
def corpus(photos: Path, tmp_path: Path) -> Corpus:
    """Images as queries, captions as candidates, in a store of its own."""
    return build_corpus(CorpusSpec(source="folder", path=str(photos)), Store(tmp_path / "engine"))
