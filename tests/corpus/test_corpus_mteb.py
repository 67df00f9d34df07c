"""Tasks of mteb: loaded by its own loaders through the hub's own clients, from a hub on the loopback; its files in both
directions; refusals."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import loopback_hub
import mteb_data
import pytest

from core.config import CorpusSpec, parse_spec
from core.corpus import build_corpus, guess_source, inspect_corpus
from core.errors import CorpusError, SpecError
from core.store import Store

pytestmark = pytest.mark.filterwarnings("ignore")  # of mteb and of what it imports
HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, str], list[str]]]:
    """Environment of a process whose hub is on the loopback, and what that hub was asked for."""
    folder = tmp_path_factory.mktemp("hub")
    mteb_data.write_all(folder / "hub")
    with loopback_hub.serving(folder / "hub") as (address, asked):
        blocked = ("HF_HUB_OFFLINE", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy")
        given = {name: value for name, value in os.environ.items() if name not in blocked}
        given |= {"HF_ENDPOINT": address, "HF_HOME": str(folder / "home"), "NO_PROXY": "127.0.0.1"}
        given |= {"PYTHONPATH": os.pathsep.join([str(ROOT), str(HERE)]), "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
        yield given | {"RETRIEVAL_LENS_CACHE": str(folder / "cache")}, asked


@pytest.fixture(scope="module")
def probed(hub: tuple[dict[str, str], list[str]], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("probe")
    command = [sys.executable, str(HERE / "mteb_probe.py"), str(folder)]
    done = subprocess.run(command, env=hub[0], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_a_task_of_texts(probed: dict[str, Any]) -> None:
    """Titles are joined to texts as mteb does; the query that no line of this split's qrels names is left out."""
    found = probed["NFCorpus"]
    assert found["texts"]["candidates"][0] == "On heart heart and health."
    assert found["texts"]["candidates"][3] == "cancer and health."
    assert found["ids"]["queries"] == ["q0", "q1", "q2"] and found["task"] == 2 and not found["bad"]
    assert found["pairs"] == sorted([q, d, g] for q, grades in mteb_data.GRADES.items() for d, g in grades.items())
    facts = found["benchmark"]
    assert (facts["task"], facts["subset"], facts["split"], facts["main_score"]) == (
        "NFCorpus", "default", "test", "ndcg_at_10",
    )  # fmt: skip


def test_one_language_of_a_task_of_several(probed: dict[str, Any]) -> None:
    found = probed["MintakaRetrieval"]
    assert found["texts"] == {"queries": ["Hallo? 0", "Hallo? 1"], "candidates": ["Hallo 0", "Hallo 1", "Hallo 2"]}
    assert found["pairs"] == [["x", "a", 1], ["y", "b", 1]] and found["benchmark"]["subset"] == "de"


def test_a_task_of_pictures(probed: dict[str, Any]) -> None:
    """The pictures are read again, whole, from the cache."""
    found = probed["MSCOCOI2TRetrieval"]
    assert found["task"] == 4 and len(found["sizes"]) == 4 and all(side > 1 for size in found["sizes"] for side in size)
    assert found["texts"]["candidates"][5] == "picture 2" and found["texts"]["queries"] == [None] * 4
    assert ["9:3", "9:c7", 1] in found["pairs"] and len(found["pairs"]) == 8


def test_another_split_and_a_limit(probed: dict[str, Any]) -> None:
    assert probed["train"]["ids"]["queries"] == ["q3"] and probed["train"]["benchmark"]["split"] == "train"
    assert probed["limit"]["ids"]["queries"] == ["q0", "q1"] and len(probed["limit"]["ids"]["candidates"]) == 6


def test_the_hub_was_asked_for_the_tasks_own_revision(probed: dict[str, Any], hub: tuple[dict, list[str]]) -> None:
    revision = probed["NFCorpus"]["benchmark"]["revision"]
    assert len(revision) == 40 and f"GET /datasets/mteb/nfcorpus/resolve/{revision}/README.md" in hub[1]


def test_what_the_hub_has_not_is_one_line(probed: dict[str, Any]) -> None:
    assert "mteb cannot load NFCorpus (mteb/nfcorpus); got ValueError: Split dev not found" in probed["no split"]
    assert probed["no split"].endswith("next: set split in [corpus]")
    assert "mteb cannot load SciFact (mteb/scifact)" in probed["no data set"] and "\n" not in probed["no data set"]


@pytest.mark.parametrize("form", ["numpy", "faiss", "predictions"])
def test_mtebs_files_give_mtebs_numbers(form: str, probed: dict[str, Any]) -> None:
    """Embedding caches and predictions, read as own embeddings; two documents tie."""
    found = probed["files"]
    scores = found[form]["scores"]
    for name, value in scores.items():
        theirs = found["mteb"][name]
        assert (value if name.startswith("mrr") else round(value, 5)) == pytest.approx(theirs, abs=1e-9), name
    assert (found[form]["main_score"], found[form]["benchmark"]["task"]) == ("ndcg_at_10", "NFCorpus")
    assert any("similarities and geometry mean nothing" in note for note in found[form]["notes"]) == (
        form == "predictions"
    )


def test_recall_is_a_hit_rate_in_the_study_and_a_share_in_mteb(probed: dict[str, Any]) -> None:
    found = probed["files"]
    assert found["study"]["5"] == pytest.approx(found["numpy"]["scores"]["hit_rate_at_5"])
    assert found["numpy"]["scores"]["recall_at_5"] < found["numpy"]["scores"]["hit_rate_at_5"]


def test_mteb_reads_ours_back(probed: dict[str, Any]) -> None:
    """Its embedding cache finds every vector and asks no model; its reranking takes our predictions."""
    found = probed["files"]
    same = {
        name for name in found["mteb"] if found["read back"][name] == pytest.approx(found["mteb"][name], nan_ok=True)
    }
    assert same == set(found["mteb"])
    assert found["to rerank"] == found["ranking"] and set(found["ranking"]) == set(mteb_data.GRADES)
    assert found["predictions differ"] < 1e-6


def test_files_of_another_task_are_refused(probed: dict[str, Any]) -> None:
    assert "mteb has written nothing of MSCOCOI2TRetrieval here" in probed["files"]["others"]


def test_the_command_line(hub: tuple[dict[str, str], list[str]]) -> None:
    command = [sys.executable, "-m", "core", "corpus", "mteb:MintakaRetrieval", "--language", "es", "--json"]
    done = subprocess.run(command, env=hub[0], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["by_modality"] == {"text": 5}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"source": "mteb:NFCorpsu"}, "no retrieval task of that name; got NFCorpsu; allowed: NFCorpus, "),
        ({"source": "mteb:Banking77Classification"}, "no retrieval task of that name; got Banking77"),
        ({"source": "mteb:MintakaRetrieval"}, "has 8 languages; got none named; allowed: ar, de, es, .*set language"),
        ({"source": "mteb:MintakaRetrieval", "language": "fin"}, "has no language 'fin'; allowed: ar, de"),
        ({"source": "mteb:BelebeleRetrieval", "language": "deu"}, "several parts of BelebeleRetrieval are in 'deu'"),
        ({"source": "mteb:NFCorpus", "task": 4}, "another task; got task = 4; allowed: 2; next: leave task out"),
        (
            {"source": "mteb:Covers80A2ARetrieval"},
            "items of other kinds; got a2a; allowed: texts, images, or both: t2i",
        ),
    ],
)
def test_refusals(spec: dict[str, Any], message: str, store: Store) -> None:
    with pytest.raises(CorpusError, match=message) as caught:
        build_corpus(CorpusSpec(**spec), store)
    assert "\n" not in str(caught.value)


def test_without_the_package_one_line_says_what_to_install(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    with pytest.raises(CorpusError, match=r"needs the package mteb; next: pip install retrieval-lens\[mteb\]"):
        build_corpus(CorpusSpec(source="mteb:NFCorpus"), store)


@pytest.mark.parametrize(
    ("corpus", "message"),
    [
        ({"source": "mteb:"}, "corpus.source is not known; got 'mteb:'"),
        ({"source": "mteb"}, "corpus.source is not known"),
        ({"source": "mteb:X", "split": "a/b"}, "corpus.split is not known; got 'a/b'; allowed: 1 to 64 letters"),
        ({"source": "mteb:X", "language": "d" * 65}, "corpus.language is not known"),
        ({"source": "demo", "language": "de"}, r"\[corpus\] language is for mteb:TASK; got source = 'demo'"),
        ({"source": "folder", "path": "x", "split": "dev"}, r"\[corpus\] split is for mteb:TASK or beir"),
        ({"source": "beir", "path": "x", "task": 1}, "a beir folder holds texts; got task = 1; allowed: 2"),
    ],
)
def test_specs_that_are_refused(corpus: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        parse_spec({"corpus": corpus, "model": {"name": "demo-mllm"}})


def test_vectors_of_mteb_need_no_model() -> None:
    spec = parse_spec({"corpus": {"source": "mteb:NFCorpus", "path": "cache"}})
    assert spec.model.name == "own-embeddings" and spec.run_name == "own-embeddings-nfcorpus-tasknone"
    assert guess_source("mteb:NFCorpus") == CorpusSpec(source="mteb:NFCorpus")
    assert "split" not in spec.canonical()["corpus"] and "language" not in spec.canonical()["corpus"]


class TestBeir:
    """A folder of BEIR: test and train queries in one file."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        root = tmp_path / "scifact"
        (root / "qrels").mkdir(parents=True)
        documents = [{"_id": f"d{n}", "title": "T" if n else "", "text": f"text {n}"} for n in range(5)]
        queries = [{"_id": f"q{n}", "text": f"query {n}"} for n in range(4)]
        for name, lines in (("corpus", documents), ("queries", queries)):
            (root / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        head = "query-id\tcorpus-id\tscore\n"
        (root / "qrels" / "test.tsv").write_text(head + "q0\td0\t2\nq0\td1\t1\nq2\td3\t1\nq2\td4\t0\n")
        (root / "qrels" / "train.tsv").write_text(head + "q3\td2\t1\n")
        return root

    def test_queries_pairs_and_support(self, folder: Path, store: Store) -> None:
        assert guess_source(str(folder)) == CorpusSpec(source="beir", path=str(folder), task=2)
        corpus = build_corpus(CorpusSpec(source="beir", path=str(folder)), store)
        assert corpus.items("queries").ids == ["q0", "q2"] and corpus.task == 2 and not corpus.report.bad
        assert corpus.items("candidates").texts[:2] == ["text 0", "T text 1"]
        assert corpus.qrels().pairs.tolist() == [[0, 0], [0, 1], [1, 3]] and corpus.qrels().grades.tolist() == [2, 1, 1]
        assert corpus.items("support_queries").ids == ["q3"] and corpus.items("support_candidates").ids == ["d2"]
        assert corpus.qrels("support").pairs.tolist() == [[0, 0]]

    def test_another_split(self, folder: Path, store: Store) -> None:
        corpus = build_corpus(CorpusSpec(source="beir", path=str(folder), split="train"), store)
        assert corpus.items("queries").ids == ["q3"] and not corpus.has("support_queries")
        with pytest.raises(CorpusError, match="no qrels of split 'dev'; got .*; allowed: test, train; next: set split"):
            inspect_corpus(CorpusSpec(source="beir", path=str(folder), split="dev"))

    def test_bad_lines_are_named(self, folder: Path) -> None:
        with open(folder / "corpus.jsonl", "a") as stream:
            stream.write(
                '{"_id": "d9", "text": 5}\n{"title": "x", "text": "y"}\nnonsense\n{"_id": "d8", "text": " "}\n'
            )
        report = inspect_corpus(CorpusSpec(source="beir", path=str(folder), max_bad_share=0.5))
        assert [(bad.where, bad.reason.split(":")[0]) for bad in report.bad] == [
            ("corpus.jsonl:6", "its text is no text"),
            ("corpus.jsonl:7", "no _id"),
            ("corpus.jsonl:8", "not JSON"),
            ("corpus.jsonl:9", "empty text"),
        ]

    def test_a_folder_that_is_none(self, tmp_path: Path) -> None:
        with pytest.raises(
            CorpusError, match="this is no BEIR folder; got .*; allowed: corpus.jsonl, queries.jsonl and"
        ):
            inspect_corpus(CorpusSpec(source="beir", path=str(tmp_path)))
