"""From a folder to a spec file and its cost: what is written reads back, and each figure says where it comes from."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from core import pipeline
from core.commands.cli import app
from core.config import CorpusSpec, EmbeddingSpec, ModelSpec, RunSpec, SaeSpec, load_spec
from core.config.schema import spec_schema
from core.config.writing import as_toml, path_beside
from core.planning import cost, rates
from core.planning.survey import survey
from core.progress import NoProgress
from core.store import Store


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("RETRIEVAL_LENS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    yield Store(tmp_path / "cache")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Six plain pictures with two captions each."""
    root = tmp_path / "photos"
    root.mkdir()
    rows = []
    for n in range(6):
        Image.new("RGB", (30, 20), (40 * n, 80, 200 - 30 * n)).save(root / f"{n}.png")
        rows.append({"file": f"{n}.png", "captions": [f"picture {n}", f"number {n} of six"]})
    (root / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return root


def cli(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_new_writes_a_spec_that_an_editor_and_run_take(photos: Path, store: Store) -> None:
    result = cli("new", "photos", "--model", "demo-clip")
    assert result.exit_code == 0, result.output
    path = Path("demo-clip-photos-task4.toml")
    text = path.read_text(encoding="utf-8")
    keys = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert keys[0] == 'name = "demo-clip-photos-task4"' and text.startswith("#:schema file://")
    jsonschema.Draft7Validator(spec_schema()).validate(tomllib.loads(text))
    spec = load_spec(path)
    assert spec.corpus.path == str(photos) and spec.sae.source == "shipped" and spec.model.name == "demo-clip"
    assert tomllib.loads(text)["corpus"]["path"] == "photos"  # counts from the file: both can be moved together
    said = result.stdout
    assert "found: images with captions in captions.jsonl" in said
    assert "items: 6 queries (image), 12 candidates (text)" in said
    assert "6 of these items, measured now" in said and "12 of these items, measured now" in said
    assert "next: retrieval-lens run demo-clip-photos-task4.toml" in said


def test_run_then_again_costs_nothing_until_the_folder_changes(photos: Path, store: Store) -> None:
    first = cli("new", "photos", "--model", "demo-clip", "--run", "--json")
    assert first.exit_code == 0, first.output
    assert not json.loads(first.stdout)["cost"]["cached"] and json.loads(first.stdout)["cost"]["seconds"] > 0
    assert len(store.folders("run")) == 1
    again = cli("new", "photos", "--model", "demo-clip")
    assert "cost: nothing, this run is in the cache" in again.stdout and "as it was" in again.stdout
    # The rate now comes from what the run has measured.
    Image.new("RGB", (9, 9)).save(photos / "7.png")
    with open(photos / "captions.jsonl", "a", encoding="utf-8") as listing:
        listing.write("\n" + json.dumps({"file": "7.png", "captions": ["another"]}))
    grown = cli("new", "photos", "--model", "demo-clip")
    assert "6 items of run demo-clip-photos-task4 on this cache" in grown.stdout
    assert "items: 7 queries (image), 13 candidates (text)" in grown.stdout


def test_the_rate_of_the_cache_is_that_of_its_encodings(photos: Path, store: Store) -> None:
    seen = survey(str(photos))
    spec = RunSpec(corpus=seen.spec, model=ModelSpec(name="demo-clip"), sae=SaeSpec(source="none"))
    made = pipeline.run(spec, store)
    measured = {part: made.encode_folder(part).facts for part in made.parts}
    other = RunSpec(corpus=seen.spec, model=spec.model, sae=SaeSpec(source="shipped"))
    told = cost.cost_of(other, seen, store, NoProgress())
    seconds = {step.what: step.seconds for step in told.steps}
    for part, what in (("queries", "encoding 6 items (image)"), ("candidates", "encoding 12 items (text)")):
        assert seconds[what] == pytest.approx(measured[part]["seconds"])
    assert told.seconds == pytest.approx(sum(value for value in seconds.values() if value))
    # Disk, by hand: d = 128 floats an item, 50 active concepts of 8 bytes, and the thumbnails.
    thumbnails = rates.sampled(seen.source, 4).thumbnail_bytes
    assert told.disk == int(18 * 128 * 4 + 18 * 50 * 8 + 6 * thumbnails)


def test_a_training_is_sized_for_the_folder_and_measured(photos: Path, store: Store) -> None:
    payload = json.loads(cli("new", "photos", "--model", "demo-clip", "--sae", "train", "--json").stdout)
    spec = load_spec("demo-clip-photos-task4.toml")
    assert (spec.sae.source, spec.sae.width, spec.sae.k) == ("train", 512, 32)  # 4 x 128
    step = next(step for step in payload["cost"]["steps"] if step["what"].startswith("training the SAE 512 x 32"))
    assert "500 steps" in step["what"] and "measured now" in step["origin"] and step["seconds"] > 0


def test_weights_that_are_elsewhere_are_not_fetched_to_measure_them(
    photos: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "_weights", lambda spec, facts: cost._Weights(here=False, parameters=2.0))
    monkeypatch.setattr(rates, "measured_rates", lambda *_: pytest.fail("a model was loaded"))
    result = cli("new", "photos", "--model", "demo-clip")
    assert result.exit_code == 0
    assert "time: not known yet" in result.stdout and "not on this machine yet" in result.stdout
    assert "come from the hub, about 4 GiB" in result.stdout  # two billion parameters of two bytes


def test_own_embeddings_need_no_model(tmp_path: Path, store: Store) -> None:
    own = tmp_path / "own"
    own.mkdir()
    for part in ("queries", "candidates"):
        np.save(own / f"{part}.npy", np.random.default_rng(0).standard_normal((8, 4)).astype(np.float32))
    (own / "qrels.csv").write_text("query-id,corpus-id,score\n" + "".join(f"{n},{n},1\n" for n in range(8)))
    result = cli("new", "own", "--run", "--out", "mine.toml")
    assert result.exit_code == 0, result.output
    assert load_spec("mine.toml").corpus.source == "embeddings" and len(store.folders("run")) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("gone", "--model", "demo-clip"), ("no such corpus", "got gone", "next: check the path")),
        (("empty", "--model", "demo-clip"), ("nothing here can be a corpus", "images with captions", "next: put")),
        (("photos",), ("which model?", "next: add --model")),
        (("photos", "--model", "demo-clap"), ("no such model", "'demo-clip' (nearest)")),
        (("photos", "--model", "demo-clip", "--sae", "shiped"), ("no such SAE", "'shipped'", "'shipped:NAME'")),
        (("photos", "--model", "demo-clip", "--task", "3"), ("no such task", "got 3")),
        (("photos", "--model", "demo-clip", "--name", "my run"), ("cannot be the name of a run",)),
        (("photos", "--model", "demo-clip", "--out", "taken.toml"), ("another spec is in the way", "next: --out")),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) and value else None,
)
def test_what_cannot_be_is_one_line_and_writes_nothing(
    words: tuple[str, ...], said: tuple[str, ...], photos: Path, store: Store
) -> None:
    Path("empty").mkdir()
    Path("taken.toml").write_text("# mine\n")
    result = cli("new", *words)
    assert result.exit_code == 1
    lines = [line for line in result.stderr.splitlines() if line.startswith("retrieval-lens: ")]
    assert len(lines) == 1 and [part for part in said if part not in lines[0]] == []
    assert [path.name for path in Path().glob("*.toml")] == ["taken.toml"]
    assert Path("taken.toml").read_text() == "# mine\n"


def test_a_spec_survives_being_written(tmp_path: Path) -> None:
    spec = RunSpec(
        name="odd",
        corpus=CorpusSpec(source="folder", path=str(tmp_path / 'a "quoted" \\ path é'), task=1, limit=7),
        model=ModelSpec(name="demo-mllm", dtype="float32", family="generative"),
        embedding=EmbeddingSpec(layers=(-1, 2), masks=("all", "no-image")),
        sae=SaeSpec(source="train", widths=(64, 128), k=8, learning_rate=1e-5),
        variants={"mended": "remove-top(share=0.01)+center"},
    )
    path = tmp_path / "odd.toml"
    path.write_text(as_toml(spec, ("a head\nwith a break",)), encoding="utf-8")
    assert load_spec(path) == spec


def test_a_path_with_a_colon_is_written_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "a:b").mkdir()
    assert path_beside(tmp_path / "a:b", tmp_path / "x.toml") == str(tmp_path / "a:b")
    assert path_beside(tmp_path / "plain", tmp_path / "x.toml") == "plain"


def test_schema_is_printed(store: Store) -> None:
    assert json.loads(cli("schema").stdout) == spec_schema()
