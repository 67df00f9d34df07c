"""Files outside the corpus folder: refused by default, also when they are read again; allowed only by the spec."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pictures import encoded, picture

from core.config import CorpusSpec, parse_spec
from core.corpus import build_corpus, corpus, images, inspect_corpus
from core.errors import CorpusError, TooLarge
from core.store import Store


@pytest.fixture
def spec(tmp_path: Path) -> CorpusSpec:
    """A folder whose listing names a picture of its own, one beside the folder, and one through a link."""
    root = tmp_path / "photos"
    root.mkdir()
    for n, path in enumerate((root / "own.png", tmp_path / "beside.png", tmp_path / "linked.png")):
        path.write_bytes(encoded(picture(n)))
    (root / "link.png").symlink_to(tmp_path / "linked.png")
    (root / "captions.csv").write_text("file,text\nown.png,a\n../beside.png,b\nlink.png,c\n")
    return CorpusSpec(source="folder", path=str(root), max_bad_share=1.0)


def test_only_what_lies_in_the_folder_is_read(spec: CorpusSpec) -> None:
    report = inspect_corpus(spec)
    assert (report.queries, report.candidates) == (1, 1)
    assert [b.where for b in report.bad] == ["captions.csv:3 (../beside.png)", "captions.csv:4 (link.png)"]
    assert all("allow_outside = true" in b.reason for b in report.bad)


def test_a_spec_can_allow_what_lies_outside(spec: CorpusSpec, store: Store) -> None:
    made = build_corpus(replace(spec, allow_outside=True), store)
    assert made.report.bad == () and len(made.items("queries")) == 3
    assert np.array_equal(corpus.open_corpus(made.folder).items("queries").item(1).image, picture(1))
    assert made.key != build_corpus(spec, store).key


def test_a_picture_that_became_a_link_outside_is_not_read_again(spec: CorpusSpec, store: Store, tmp_path: Path) -> None:
    table = build_corpus(spec, store).items("queries")
    own = Path(spec.path or "") / "own.png"
    own.rename(tmp_path / "moved.png")
    own.symlink_to(tmp_path / "moved.png")
    with pytest.raises(CorpusError, match="outside the corpus folder"):
        table.item(0)


def test_the_switch_is_in_a_key_only_where_it_is_on() -> None:
    raw = {"corpus": {"source": "demo"}, "model": {"name": "m"}}
    assert "allow_outside" not in parse_spec(raw).keyed()["corpus"]
    allowed = parse_spec(raw | {"corpus": {"source": "demo", "allow_outside": True}})
    assert allowed.keyed()["corpus"]["allow_outside"] is True


def test_a_picture_that_does_not_fit_into_memory_is_named(spec: CorpusSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "free_memory", lambda: 100.0)
    monkeypatch.setattr(images, "LARGE_PIXELS", 1)
    with pytest.raises(TooLarge, match=r"captions.csv:2 \(own.png\): an image of .* does not fit into memory"):
        inspect_corpus(spec)
