"""Data sets of the hub: names, fetching by a stand-in, and one clear line when it fails."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError

from core.config import CorpusSpec
from core.corpus import guess_source, hub, open_source
from core.errors import CorpusError


def test_names() -> None:
    assert hub.repositories("hf:lmms-lab/COCO-Caption") == ["lmms-lab/COCO-Caption"]
    assert (
        hub.short_name("mbeir:mscoco_task4") == "mscoco_task4"
        and hub.short_name("hf:lmms-lab/COCO-Caption") == "COCO-Caption"
    )
    assert guess_source("mbeir:cirr_task7") == CorpusSpec(source="mbeir", path="mbeir:cirr_task7", task=7)
    assert not hub.is_hub("/data/mbeir")


@pytest.mark.parametrize(
    ("study", "published"),
    [  # the study's task numbers; names as the mteb package loads them
        ("mscoco_task1", "mbeir_mscoco_task0"),
        ("webqa_task2", "mbeir_webqa_task1"),
        ("edis_task3", "mbeir_edis_task2"),
        ("mscoco_task4", "mbeir_mscoco_task3"),
        ("nights_task5", "mbeir_nights_task4"),
        ("infoseek_task6", "mbeir_infoseek_task6"),
        ("cirr_task7", "mbeir_cirr_task7"),
        ("oven_task8", "mbeir_oven_task8"),
    ],
)
def test_tasks_are_counted_as_the_study_does(study: str, published: str) -> None:
    assert hub.repositories(f"mbeir:{study}")[0] == f"MRBench/{published}"
    assert hub.repositories(f"mbeir:mbeir_{study}") == hub.repositories(f"mbeir:{study}")
    assert guess_source(f"hf:MRBench/{published}").task == guess_source(f"mbeir:{study}").task == int(study[-1])


def test_what_is_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple] = []

    def snapshot(name: str, repo_type: str, allow_patterns: list[str]) -> str:
        asked.append((name, repo_type, "*.parquet" in allow_patterns))
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    with pytest.raises(CorpusError, match="no query table"):  # the fetched folder is empty
        open_source(CorpusSpec(source="mbeir", path="mbeir:mscoco_task4"))
    assert asked == [("MRBench/mbeir_mscoco_task3", "dataset", True)]


def test_names_are_tried_in_turn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    there: set[str] = {"MRBench/mbeir_mscoco_task4"}

    def snapshot(name: str, **_: object) -> str:
        if name not in there:
            raise RepositoryNotFoundError("404", response=not_found())
        return str(tmp_path / name.rpartition("/")[2])

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert hub.locate("mbeir:mscoco_task4").name == "mbeir_mscoco_task4"
    there.clear()
    with pytest.raises(
        CorpusError, match="no such data set on the hub; got MRBench/mbeir_mscoco_task3, .*hf auth login"
    ):
        hub.locate("mbeir:mscoco_task4")


def not_found() -> Any:
    request = SimpleNamespace(method="GET", url="https://huggingface.co")
    return SimpleNamespace(headers={}, status_code=404, request=request)


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
