"""A model's own words on its pictures: batched generation, a resumable stage, retrieval with captions as texts; against
the adapter called item by item, and numpy."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from core import captions, inventory
from core.captions import LONGEST, WORDS, Captioned, caption_part, picture_rows
from core.commands.cli import app
from core.config import CorpusSpec, EmbeddingSpec, ModelSpec, RunSpec, SaeSpec
from core.errors import NotAvailable
from core.models import Adapter, load_model
from core.pipeline import run
from core.progress import NoProgress
from core.questions import own_words
from core.questions.remedies import remedies
from core.questions.retrieval import evaluate
from core.records import EmbeddingView, Item
from core.run import Run
from core.store import Store

N = 12
ANSWER = EmbeddingView(-1, "answer")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("own-words"))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    with open(folder / "captions.csv", "w", newline="") as listing:
        rows = csv.writer(listing)
        rows.writerow(["file", "caption"])
        for n in range(N):
            pixels = np.random.default_rng(n).integers(0, 255, (36, 40, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"{n:02}.png")
            rows.writerow([f"{n:02}.png", f"{'A red fox sleeps.' if n % 2 else 'Two boats on a lake'} number {n}"])
    return folder


def spec_of(pictures: Path, model: Path, task: int) -> RunSpec:
    return RunSpec(
        name=f"pictures-{task}",
        corpus=CorpusSpec(source="folder", path=str(pictures), task=task),
        model=ModelSpec(name=str(model), dtype="float32", family="generative"),
        embedding=EmbeddingSpec(poolings=("mean", "answer"), cross=False),
        sae=SaeSpec(source="none"),
    )


@pytest.fixture(scope="module", params=[4, 1], ids=["pictures-ask", "pictures-answer"])
def made(request: pytest.FixtureRequest, pictures: Path, llava_folder: Path, store: Store) -> Run:
    return run(spec_of(pictures, llava_folder, request.param), store)


def alone(adapter: Adapter, item: Item) -> str:
    return adapter.generate(Item(item.id, "image", None, item.image), WORDS["caption"], LONGEST)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_captions_are_greedy_answers_one_by_one_embedded_as_texts(made: Run) -> None:
    own = own_words.make_captions(made)
    part = "queries" if made.spec.corpus.task == 4 else "candidates"
    assert list(own.captioned) == [part] and own.pictures == N and own.seconds > 0
    adapter, table = load_model(made.spec.model), made.corpus.items(part)
    expected = [alone(adapter, table.item(row)) for row in range(N)]
    assert own.captioned[part].texts == expected and len(set(expected)) > 1
    items = [Item(table.ids[row], "text", text, None, table.task, table.side) for row, text in enumerate(expected)]
    for view in (made.view, ANSWER):
        rows = adapter.embed(items, [view])[view]
        assert np.abs(own_words.captioned_rows(made, own, part, view) - rows).max() < 1e-4
        other = "candidates" if part == "queries" else "queries"
        assert np.array_equal(own_words.captioned_rows(made, own, other, view), made.embeddings(other, view))
        sides = {part: unit(rows), other: unit(np.asarray(made.embeddings(other, view)))}
        scores = sides["queries"] @ sides["candidates"].T
        hits = np.mean(scores.argmax(1) == np.arange(N))
        assert own_words.evaluate_captions(made, own, view).recall[1] == pytest.approx(hits)


def test_they_are_made_once_and_need_no_model_afterwards(made: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    first = own_words.make_captions(made)

    def never(_run: Run) -> Adapter:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(Run, "adapter", never)
    again = own_words.make_captions(made)
    assert again.keys == first.keys and again.seconds == first.seconds
    cached = own_words.cached_captions(made)
    assert cached is not None and cached.keys == first.keys
    assert own_words.cached_captions(made, "questions") is None


def test_they_are_a_remedy_with_its_cost(made: Run) -> None:
    own = own_words.make_captions(made)
    table = remedies(made)
    rows = table[table["kind"] == "own words"].set_index("setting")
    assert list(rows.index) == [
        f"caption / {view} / {variant}" for view in (made.view, ANSWER) for variant in ("none", "realign")
    ]
    assert (rows["seconds"] == own.seconds).all() and table[table["kind"] != "own words"]["seconds"].isna().all()
    for view in (made.view, ANSWER):
        evaluated = own_words.evaluate_captions(made, own, view)
        assert rows["recall@1"][f"caption / {view} / none"] == evaluated.recall[1]
    assert any(f"{N} pictures" in note for note in table.attrs["notes"])


def test_the_command_prints_recall_beside_the_pictures_own(
    made: Run, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETRIEVAL_LENS_CACHE", str(store.root))
    done = CliRunner().invoke(app, ["captions", made.name, "--json"])
    assert done.exit_code == 0, done.output
    printed, own = json.loads(done.stdout), own_words.make_captions(made)
    assert (printed["pictures"], printed["seconds"], printed["request"]) == (N, own.seconds, WORDS["caption"])
    assert printed["examples"][0] == {"id": own.examples()[0][0], "text": own.examples()[0][1]}
    recalls = [row["recall@1"] for row in printed["rows"]]
    views = [own_words.evaluate_captions(made, own, view, v) for view in own.views for v in ("none", "realign")]
    assert recalls == [evaluate(made).evaluation.recall[1], *(one.recall[1] for one in views)]


def test_a_run_that_was_not_asked_says_how(pictures: Path, llava_folder: Path, tmp_path: Path) -> None:
    quiet = run(spec_of(pictures, llava_folder, 4), Store(tmp_path))
    table = remedies(quiet)
    assert "seconds" not in table and "own words" not in set(table["kind"])
    assert any("`retrieval-lens captions pictures-4`" in note for note in table.attrs["notes"])


def test_what_only_captions_were_made_from_belongs_to_the_run(made: Run) -> None:
    own = own_words.make_captions(made)
    own_words.evaluate_captions(made, own, made.view)
    assert set(own.keys) <= {folder.key for folder in inventory.used_folders(made)}


class Talker:
    """Says an item's id; counts batches and can break."""

    def __init__(self, breaks_at: int | None = None, most: int = 99) -> None:
        self.batches: list[list[str]] = []
        self.breaks_at, self.most = breaks_at, most
        self.facts = type("Facts", (), {"name": "talker", "layers": 1, "hidden_size": 8, "dtype": "float32"})

    def lengths(self, items: Sequence[Item]) -> list[int]:
        return [10] * len(items)

    def generate_all(self, items: Sequence[Item], prompt: str, max_new_tokens: int) -> list[str]:
        if len(self.batches) == self.breaks_at:
            raise KeyboardInterrupt
        if len(items) > self.most:
            raise MemoryError
        self.batches.append([item.id for item in items])
        assert all(item.modality == "image" and item.text is None for item in items)
        return [f"said of {item.id}" for item in items]


class Mixed:
    """Every third item is a text, every third a picture with a text."""

    content, task, side = "mixed", 7, "query"
    modality = np.array(["text", "image", "image,text"] * 8)
    texts = [None if row % 3 == 1 else f"text {row}" for row in range(24)]
    ids = [f"id{row}" for row in range(24)]

    def item(self, row: int) -> Item:
        return Item(self.ids[row], self.modality[row], self.texts[row], None, self.task, "query")


def captioned(store: Store, talker: Talker, batch_tokens: int = 4 * (10 + LONGEST)) -> Captioned:
    table = Mixed()
    arguments = (table, lambda: talker, "k" * 16, "caption", store, NoProgress(), batch_tokens)
    return Captioned(table, caption_part(*arguments))  # type: ignore[arg-type]


def test_an_interrupted_stage_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(captions, "WINDOW", 8)
    whole = captioned(Store(tmp_path / "whole"), Talker())
    with pytest.raises(KeyboardInterrupt):
        captioned(Store(tmp_path / "broken"), Talker(breaks_at=3))
    second = Talker()
    resumed = captioned(Store(tmp_path / "broken"), second)
    assert len(second.batches) == 2  # the second window alone
    assert resumed.texts == whole.texts and resumed.content == whole.content
    assert set(resumed.folder.manifest["files"]) == {"captions.parquet"}


@pytest.mark.parametrize("left", ["", "{", '{"captions": [], "seconds": 0}', "one changed letter"])
def test_a_window_that_is_not_as_it_was_written_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: str
) -> None:
    monkeypatch.setattr(captions, "WINDOW", 8)
    whole = captioned(Store(tmp_path / "whole"), Talker())
    with pytest.raises(KeyboardInterrupt):
        captioned(Store(tmp_path / "broken"), Talker(breaks_at=3))
    (window,) = (path for path in tmp_path.glob("broken/captions/*/*window*") if path.is_file())
    text = window.read_text(encoding="utf-8")
    at = text.index('"captions": ["') + len('"captions": ["')
    window.write_text(left if left != "one changed letter" else text[:at] + "#" + text[at + 1 :], encoding="utf-8")
    resumed = captioned(Store(tmp_path / "broken"), Talker())
    assert resumed.texts == whole.texts
    assert set(resumed.folder.manifest["files"]) == {"captions.parquet"}


def test_a_captioned_item_keeps_its_own_text_and_its_role(tmp_path: Path) -> None:
    made = captioned(Store(tmp_path), Talker())
    assert made.rows.tolist() == picture_rows(Mixed()).tolist()  # type: ignore[arg-type]
    assert made.texts[:2] == ["said of id1", "said of id2 text 2"]
    item = made.item(1)
    assert (item.id, item.modality, item.text, item.task, item.side) == ("id2", "text", made.texts[1], 7, "query")


def test_a_batch_too_large_for_memory_is_halved(tmp_path: Path) -> None:
    talker = Talker(most=1)
    made = captioned(Store(tmp_path), talker)
    assert len(talker.batches) == 16 and made.texts[0] == "said of id1"


def test_models_that_do_not_speak_are_refused(clip_run: Run) -> None:
    with pytest.raises(NotAvailable, match="does not speak"):
        own_words.make_captions(clip_run)
    assert not own_words.own_words_apply(clip_run)


@pytest.fixture
def clip_run(made: Run) -> Run:
    """A run whose embeddings are projected, as a dual encoder's are."""
    facts = made.folder.facts | {"views": [{"layer": -1, "pooling": "projected", "mask": "all"}]}
    return Run(replace(made.folder, manifest=made.folder.manifest | {"facts": facts}), made.store)
