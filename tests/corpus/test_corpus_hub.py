"""Data sets of the hub: names, fetching by a stand-in, and one clear line when it fails."""

from __future__ import annotations

from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from core.config import CorpusSpec
from core.corpus import guess_source, hub, open_source
from core.errors import CorpusError


def test_names() -> None:
    assert hub.repository("mbeir:mscoco_task4") == "MRBench/mscoco_task4"
    assert hub.repository("hf:lmms-lab/COCO-Caption") == "lmms-lab/COCO-Caption"
    assert guess_source("mbeir:cirr_task7") == CorpusSpec(source="mbeir", path="mbeir:cirr_task7", task=7)
    assert not hub.is_hub("/data/mbeir")


def test_what_is_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple] = []

    def snapshot(name: str, repo_type: str, allow_patterns: list[str]) -> str:
        asked.append((name, repo_type, "*.parquet" in allow_patterns))
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    with pytest.raises(CorpusError, match="no query table"):  # the fetched folder is empty
        open_source(CorpusSpec(source="mbeir", path="mbeir:mscoco_task4"))
    assert asked == [("MRBench/mscoco_task4", "dataset", True)]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (LocalEntryNotFoundError("x"), "not on disk and the hub cannot be reached"),
        (OSError("disk full\nmore"), "does not give this data set: disk full;"),
    ],
)
def test_failures_are_one_line(error: Exception, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def snapshot(*args: object, **kwargs: object) -> str:
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    with pytest.raises(CorpusError, match=message) as caught:
        hub.locate("mbeir:mscoco_task4")
    assert "\n" not in str(caught.value)
