"""Models that sentence-transformers saved, against the library's own `encode_query` and `encode_document`, and their
token states against transformers, on tiny checkpoints."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zoo

from core.config import CorpusSpec, EmbeddingSpec, ModelSpec, RunSpec, SaeSpec, load_spec, parse_spec
from core.errors import ModelError, NotAvailable, SpecError
from core.models import check_model, describe, load_model
from core.models.base import PROJECTED
from core.models.states import layer_stack
from core.models.table import find
from core.models.views import resolve_views
from core.records import EmbeddingView, Item, StatePlace

PROMPTS = {"query": "find: ", "document": "passage: "}


def saved(folder: Path, modules: list[Any], **more: Any) -> Path:
    """A folder as the library saves it."""
    from sentence_transformers import SentenceTransformer

    SentenceTransformer(modules=modules, device="cpu", **more).save(str(folder))
    return folder


def transformer(base: Path, **more: Any) -> Any:
    from sentence_transformers.sentence_transformer.modules import Transformer

    return Transformer(str(base), **more)


@pytest.fixture(scope="session")
def bert_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of 3 layers, d = 32, that reads texts only."""
    from tokenizers import processors
    from transformers import BertConfig, BertModel

    words = zoo.tokenizer([])
    words.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    words.padding_side = "right"
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}
    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(words), max_position_embeddings=64, pad_token_id=0, **sizes)
    return zoo.save(BertModel(config), words, tmp_path_factory.mktemp("bert") / "base")


@pytest.fixture(scope="session")
def folders(
    bert_base: Path, clip_folder: Path, zoo_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """What users have: a text model, one whose head narrows, CLIP, two Qwen-VL retrievers, word vectors."""
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, StaticEmbedding

    root = tmp_path_factory.mktemp("sentence")
    torch.manual_seed(0)
    bert = transformer(bert_base, max_seq_length=24)
    made = {
        "bert": ([bert, Pooling(32, "mean")], {"prompts": PROMPTS}),
        "narrow": (
            [bert, Pooling(32, ["cls", "max"], include_prompt=False), Dense(64, 12), Normalize()],
            {"prompts": PROMPTS},
        ),
        "clip": ([transformer(clip_folder, max_seq_length=24)], {}),
        "words": ([StaticEmbedding(zoo.tokenizer([]).backend_tokenizer, embedding_dim=16)], {}),
    }
    for name in ("qwen2_vl", "qwen3_vl"):
        prompts = {"query": "Find the item.", "document": "Represent the user's input."}
        made[name] = ([transformer(zoo_folder(name)), Pooling(32, "lasttoken"), Normalize()], {"prompts": prompts})
    return {name: saved(root / name, modules, **more) for name, (modules, more) in made.items()}


ALL = ("bert", "narrow", "clip", "words", "qwen2_vl", "qwen3_vl")
WITH_IMAGES = ("clip", "qwen2_vl", "qwen3_vl")
WITH_TOKENS = ("bert", "narrow", "qwen2_vl", "qwen3_vl")


@pytest.fixture(scope="session")
def adapters(folders: dict[str, Path]) -> dict[str, Any]:
    return {name: load_model(ModelSpec(name=str(folder), dtype="float32")) for name, folder in folders.items()}


def library(folder: Path, **more: Any) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu", **more)


def items_for(name: str, mixed: list[Item]) -> list[Item]:
    """Items the model takes, queries and candidates of each kind."""
    taken = [item for item in mixed if name in WITH_IMAGES or item.modality == "text"]
    return [replace(item, side=side, id=f"{item.id}-{side}") for item in taken for side in ("query", "candidate")]


def encoded(model: Any, item: Item, modality: str | None = None) -> np.ndarray:
    """The library's own vector of one item."""
    encode = model.encode_query if item.side == "query" else model.encode_document
    kind = modality or item.modality
    one = item.text if kind == "text" else item.image if kind == "image" else {"image": item.image, "text": item.text}
    return np.asarray(encode([one]), np.float32)[0]


@pytest.mark.parametrize("name", ALL)
def test_final_vectors_are_those_of_the_library(
    name: str, adapters: dict[str, Any], folders: dict[str, Path], mixed: list[Item]
) -> None:
    items, model = items_for(name, mixed), library(folders[name])
    expected = []
    for item in items:
        if name == "clip" and item.modality == "image,text":  # it takes each alone: the sum of both unit vectors
            halves = [encoded(model, item, half) for half in ("text", "image")]
            expected.append(sum(half / np.linalg.norm(half) for half in halves))
        else:
            expected.append(encoded(model, item))
    found = adapters[name].embed(items, [PROJECTED])[PROJECTED]
    assert np.abs(found - np.stack(expected)).max() < 1e-5
    backwards = adapters[name].embed(items[::-1], [PROJECTED])[PROJECTED][::-1]
    assert np.abs(backwards - found).max() < 1e-5
    apart = np.abs(found[0] - found[1]).max()  # one item as query and as candidate
    assert (apart > 1e-3) == (name not in {"clip", "words"}), "prompts of both sides differ where there are any"


@pytest.mark.parametrize("name", ALL)
def test_facts_are_those_of_the_loaded_model(name: str, adapters: dict[str, Any], folders: dict[str, Path]) -> None:
    facts = describe(ModelSpec(name=str(folders[name]), dtype="float32"))
    model = library(folders[name])
    assert (facts.kind, facts.pooling, facts.preset) == ("sentence-transformers", "projected", "")
    assert facts.hidden_size == model.get_embedding_dimension() == adapters[name].hidden_size
    assert facts.layers == (3 if name in WITH_TOKENS else 0)
    assert facts.model_type == ("" if name == "words" else model.transformers_model.config.model_type)
    assert check_model(ModelSpec(name=str(folders[name]), dtype="float32")) == facts
    assert resolve_views(EmbeddingSpec(), facts) == (PROJECTED,)
    assert find(facts.name) is None  # no row: its family is unknown until the spec states one


@pytest.mark.parametrize("name", WITH_TOKENS)
def test_token_states_are_those_of_transformers_in_the_same_pass(
    name: str, adapters: dict[str, Any], folders: dict[str, Path], mixed: list[Item]
) -> None:
    adapter, model = adapters[name], library(folders[name])
    items = items_for(name, mixed)
    places = [StatePlace(), StatePlace(0), StatePlace(2), StatePlace(3)]
    views = [EmbeddingView(p.layer, pooling) for p in places for pooling in ("mean", "last", "max", "min")]
    passes: list[int] = []
    handle = layer_stack(model_inside(adapter))[0].register_forward_hook(lambda *_: passes.append(1))
    found = adapter.embed(items, [PROJECTED, *views])
    handle.remove()
    assert len(passes) == len({(item.modality, item.side) for item in items})
    assert np.abs(found[PROJECTED] - adapter.embed(items, [PROJECTED])[PROJECTED]).max() < 1e-6
    for row, item in enumerate(items):
        hidden, ids = by_hand(model, item)
        assert adapter.lengths([item]) == [len(ids)]
        for view in views:
            states = hidden[view.layer]
            pooled = {"mean": states.mean(0), "last": states[-1], "max": states.amax(0), "min": states.amin(0)}
            expected = pooled[view.pooling].numpy()
            assert np.abs(found[view][row] - expected).max() < 1e-4 * max(1.0, np.abs(expected).max()), view
        tokens = adapter.token_states([item], StatePlace(2))
        assert np.abs(tokens.states - hidden[2].numpy()).max() < 1e-4 * max(1.0, float(hidden[2].abs().max()))


def model_inside(adapter: Any) -> Any:
    return adapter.model.transformers_model


def by_hand(model: Any, item: Item) -> tuple[list[torch.Tensor], list[int]]:
    """All hidden states (t, d) and ids of one item: the library's inputs, transformers' own output."""
    prompt = model.prompts["query" if item.side == "query" else "document"]
    task = "query" if item.side == "query" else "document"
    one = item.text if item.modality == "text" else item.image
    one = {"image": item.image, "text": item.text} if item.modality == "image,text" else one
    features = model.preprocess([one], prompt=prompt, task=task)
    names = {"input_ids", "attention_mask", "token_type_ids", "pixel_values", "image_grid_thw", "mm_token_type_ids"}
    inputs = {key: value for key, value in features.items() if key in names}
    with torch.inference_mode():
        output = model.transformers_model(**inputs, output_hidden_states=True)
    return [state[0] for state in output.hidden_states], features["input_ids"][0].tolist()


@pytest.mark.parametrize("name", WITH_TOKENS)
def test_roles_and_masks(name: str, adapters: dict[str, Any], mixed: list[Item]) -> None:
    adapter = adapters[name]
    for item in items_for(name, mixed):
        tokens = adapter.token_states([item])
        said = {
            role: "".join(t for t, r in zip(tokens.text, tokens.role, strict=True) if r == role)
            for role in ("text", "prompt")
        }
        words = (item.text or "") if item.modality != "image" else ""
        assert said["text"].strip() == words.strip() or (name in {"bert", "narrow"} and words.startswith(said["text"]))
        assert said["prompt"].strip() == (adapter.prompts[item.side] or "").strip()
        assert ("image" in tokens.role) == (item.modality != "text")
        assert (tokens.grids[0] is not None) == (item.modality != "text")
        view = EmbeddingView(-1, "mean", "no-prompt")
        kept = tokens.states[[role != "prompt" for role in tokens.role]].mean(0)
        assert np.abs(adapter.embed([item], [view])[view][0] - kept).max() < 1e-4 * max(1.0, np.abs(kept).max())


def test_masks_hold_in_a_batch_with_padding(adapters: dict[str, Any], mixed: list[Item]) -> None:
    view = EmbeddingView(-1, "mean", "text")
    for name in WITH_TOKENS:
        items = [item for item in items_for(name, mixed) if item.modality == "text"]
        alone = np.concatenate([adapters[name].embed([item], [view])[view] for item in items])
        together = adapters[name].embed(items, [view])[view]
        assert np.abs(together - alone).max() < 1e-4 * np.abs(alone).max()


def test_states_that_stand_for_final_vectors(adapters: dict[str, Any], mixed: list[Item]) -> None:
    """Mean pooling and nothing behind it: their mean is the vector. A head and a norm: each has gone through them."""
    text = replace(mixed[0], side="query")
    tokens = adapters["bert"].token_states([text], PROJECTED.place)
    assert np.abs(tokens.states.mean(0) - adapters["bert"].embed([text], [PROJECTED])[PROJECTED][0]).max() < 1e-5
    last = adapters["qwen3_vl"].token_states([mixed[2]], PROJECTED.place).states
    assert np.linalg.norm(last, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert np.abs(last[-1] - adapters["qwen3_vl"].embed([mixed[2]], [PROJECTED])[PROJECTED][0]).max() < 1e-5
    picture = adapters["clip"].token_states([mixed[1]], PROJECTED.place)
    assert picture.grids == [(4, 4)] and picture.states.shape == (16, 20)
    assert not adapters["words"].has_token_states
    with pytest.raises(NotAvailable, match="gives no token states"):
        adapters["words"].token_states([text])
    with pytest.raises(NotAvailable, match="no token states to pool"):
        adapters["clip"].embed([text], [EmbeddingView()])


def test_norm_and_sublayer_are_views_of_a_decoder_inside(adapters: dict[str, Any], mixed: list[Item]) -> None:
    views = [
        EmbeddingView(-1, "last"),
        EmbeddingView(-1, "last", norm="before"),
        EmbeddingView(-1, "last", sublayer="attention"),
    ]
    adapter = adapters["qwen3_vl"]
    found = adapter.embed(mixed, views)
    norm = model_inside(adapter).get_decoder().norm
    with torch.inference_mode():
        normed = norm(torch.from_numpy(found[views[1]])).numpy()
    assert np.abs(normed - found[views[0]]).max() < 1e-4 * np.abs(normed).max()
    assert min(np.abs(found[a] - found[b]).max() for a, b in ((views[0], views[1]), (views[1], views[2]))) > 1e-2
    with pytest.raises(NotAvailable, match="no state between attention and MLP"):
        adapters["bert"].embed([mixed[0]], views[2:])


def test_truncation_and_prompts_of_the_spec(folders: dict[str, Path], mixed: list[Item]) -> None:
    spec = ModelSpec(name=str(folders["bert"]), dtype="float32")
    short = replace(spec, truncate_dim=8, query_prompt="which: ", candidate_prompt="")
    adapter, model, item = load_model(short), library(folders["bert"], truncate_dim=8), mixed[0]
    query, candidate = (replace(item, side=side) for side in ("query", "candidate"))
    found = adapter.embed([query, candidate], [PROJECTED])[PROJECTED]
    assert found.shape == (2, 8) and adapter.hidden_size == describe(short).hidden_size == 8
    assert np.abs(found[0] - model.encode_query([item.text], prompt="which: ")[0]).max() < 1e-5
    assert np.abs(found[1] - model.encode([item.text], prompt="")[0]).max() < 1e-5
    changed = ({"truncate_dim": 8}, {"query_prompt": ""}, {"candidate_prompt": "x"})
    keys = {describe(replace(spec, **one)).key for one in ({}, *changed)}
    assert len(keys) == 4
    with pytest.raises(SpecError, match="fewer columns.*1 to 32"):
        describe(replace(spec, truncate_dim=33))
    raw = {"corpus": {"source": "demo"}, "model": {"name": "demo-clip"}}
    assert set(parse_spec(raw).canonical()["model"]).isdisjoint({"truncate_dim", "query_prompt", "candidate_prompt"})
    with pytest.raises(SpecError, match="no sentence-transformers model"):
        describe(ModelSpec(name="demo-clip", truncate_dim=8))


def test_a_text_that_is_an_address_or_a_path_stays_a_text(
    adapters: dict[str, Any], mixed: list[Item], tmp_path: Path
) -> None:
    """The library would open it as a picture."""
    mixed[1].picture.save(tmp_path / "fox.png")
    for text in (str(tmp_path / "fox.png"), "https://example.org/fox.jpg"):
        tokens = adapters["qwen2_vl"].token_states([Item("t", "text", text)])
        assert "image" not in tokens.role and text in "".join(tokens.text)


def test_items_a_model_does_not_take_are_refused(adapters: dict[str, Any], mixed: list[Item]) -> None:
    with pytest.raises(NotAvailable, match="takes no item of modality image.*item 'i0'"):
        adapters["bert"].embed([mixed[1]], [PROJECTED])
    for call in (
        lambda: adapters["bert"].generate(mixed[0], "?"),
        lambda: adapters["bert"].top_tokens(np.zeros((1, 32)), 1),
    ):
        with pytest.raises(NotAvailable, match="no output head"):
            call()


def test_views_a_spec_may_ask_for(folders: dict[str, Path]) -> None:
    bert, clip = (describe(ModelSpec(name=str(folders[name]))) for name in ("bert", "clip"))
    views = resolve_views(EmbeddingSpec(poolings=("projected", "mean"), layers=(-1, 1)), bert)
    assert views == (PROJECTED, EmbeddingView(), EmbeddingView(1))
    assert resolve_views(EmbeddingSpec(poolings=("mean", "projected")), bert) == (EmbeddingView(), PROJECTED)
    for spec, facts in (
        (EmbeddingSpec(layers=(1,)), bert),
        (EmbeddingSpec(poolings=("mean",)), clip),
        (EmbeddingSpec(masks=("text",)), clip),
    ):
        with pytest.raises(SpecError, match="embeds by its own pooling"):
            resolve_views(spec, facts)
    with pytest.raises(SpecError, match="no such layer"):
        resolve_views(EmbeddingSpec(poolings=("mean",), layers=(9,)), bert)
    for spec in (EmbeddingSpec(poolings=("answer",)), EmbeddingSpec(words=("last",))):
        with pytest.raises(NotAvailable, match="no answer header"):
            resolve_views(spec, bert)
    with pytest.raises(SpecError, match="brings its own prompts"):
        describe(ModelSpec(name=str(folders["bert"]), preset="study"))


def changed(folder: Path, to: Path, name: str, change: Callable[[Any], Any]) -> Path:
    """A copy with one JSON file changed."""
    shutil.copytree(folder, to)
    path = to / name
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    return to


def test_what_is_no_single_vector_is_refused_in_one_line(
    folders: dict[str, Path], bert_base: Path, tmp_path: Path
) -> None:
    from sentence_transformers import MultiVectorEncoder, SparseEncoder

    many = tmp_path / "many"
    MultiVectorEncoder(str(bert_base), device="cpu").save(str(many))
    with pytest.raises(
        ModelError, match=r"many gives several vectors per item; got MultiVectorEncoder; allowed"
    ) as error:
        describe(ModelSpec(name=str(many)))
    assert "\n" not in str(error.value)
    sparse = changed(
        folders["bert"],
        tmp_path / "sparse",
        "config_sentence_transformers.json",
        lambda c: c | {"model_type": "SparseEncoder"},
    )
    with pytest.raises(ModelError, match="gives sparse vectors"):
        describe(ModelSpec(name=str(sparse)))
    assert SparseEncoder.__name__ == "SparseEncoder"  # the library's name, as its files say it
    late = changed(
        folders["bert"],
        tmp_path / "late",
        "modules.json",
        lambda m: [m[0], m[1] | {"type": "pylate.models.Dense.Dense"}],
    )
    with pytest.raises(ModelError, match="several vectors per item"):
        describe(ModelSpec(name=str(late)))


def test_code_of_a_repository_and_pickles_are_not_run(folders: dict[str, Path], tmp_path: Path) -> None:
    own = changed(
        folders["bert"], tmp_path / "own", "modules.json", lambda m: [m[0] | {"type": "custom_st.Transformer"}, *m[1:]]
    )
    with pytest.raises(ModelError, match="code from its own repository, which is not run.*--trust-remote-code"):
        describe(ModelSpec(name=str(own)))
    out = changed(folders["bert"], tmp_path / "out", "modules.json", lambda m: [m[0] | {"path": "../base"}, *m[1:]])
    with pytest.raises(ModelError, match="leads out of its folder"):
        describe(ModelSpec(name=str(out)))
    pickled = Path(shutil.copytree(folders["narrow"], tmp_path / "pickled"))
    (dense,) = pickled.glob("*_Dense")
    (dense / "model.safetensors").rename(dense / "pytorch_model.bin")
    with pytest.raises(ModelError, match="weights that are no safetensors.*_Dense/pytorch_model.bin"):
        check_model(ModelSpec(name=str(pickled)))
    for content in ("[]", "{}", "[1]", "not json"):
        (pickled / "modules.json").write_text(content)
        with pytest.raises(ModelError, match="modules.json of"):
            describe(ModelSpec(name=str(pickled)))


OWN_MODULE = """
import torch

WIDTH = 32


class Transformer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(WIDTH))

    def tokenize(self, inputs, **more):
        return {"values": torch.stack([len(str(one)) * torch.arange(WIDTH).float() for one in inputs])}

    def forward(self, features, task=None):
        scale = {"retrieval": 1.0, "query": 2.0}.get(task, 5.0)
        features["sentence_embedding"] = features["values"] * self.weight * scale
        return features

    def save(self, path, **more):
        pass

    @staticmethod
    def load(path):
        return Transformer()
"""


def test_code_that_was_allowed_by_name_runs_with_its_task(
    folders: dict[str, Path], tmp_path: Path, mixed: list[Item]
) -> None:
    """As jina-embeddings: a module of the repository's own, given the name of a task."""
    from core.models.options import trusting

    folder = changed(
        folders["bert"],
        tmp_path / "own",
        "modules.json",
        lambda m: [m[0] | {"type": "custom_st.Transformer", "kwargs": ["task"]}],
    )
    (folder / "custom_st.py").write_text(OWN_MODULE)
    (folder / "config_sentence_transformers.json").write_text("{}")
    spec, item = ModelSpec(name=str(folder), dtype="float32"), replace(mixed[0], side="query")
    with trusting(str(folder)):
        plain, tasked = load_model(spec), load_model(replace(spec, task="retrieval"))
        assert describe(replace(spec, task="retrieval")).key != describe(spec).key
    expected = len(item.text or "") * np.arange(32, dtype=np.float32)
    assert np.allclose(plain.embed([item], [PROJECTED])[PROJECTED][0], 2 * expected)
    assert np.allclose(tasked.embed([item], [PROJECTED])[PROJECTED][0], expected)
    with pytest.raises(
        NotAvailable, match="takes no item of modality image"
    ):  # nor does the library, unless it says so
        tasked.embed([mixed[1]], [PROJECTED])
    (folder / "custom_st.py").write_text(OWN_MODULE.replace("WIDTH = 32", "WIDTH = 4"))
    with trusting(str(folder)), pytest.raises(ModelError, match="gives 4 columns.*its files say 32"):
        load_model(spec).embed([item], [PROJECTED])
    assert not tasked.has_token_states and find("jina-embeddings-v4").task == "retrieval"  # type: ignore[union-attr]


def test_a_row_of_the_table_wins_over_modules(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The shipped demo-clip, its folder given a `modules.json`, stays the dual encoder of its row."""
    from core.models import known, table

    monkeypatch.setattr(known, "WEIGHTS", folders["clip"].parent)
    row = replace(table.KNOWN["demo-clip"], name="clip", hidden_size=20)
    monkeypatch.setitem(table.KNOWN, "clip", row)
    assert describe(ModelSpec(name="clip")).kind == "dual"
    assert describe(ModelSpec(name=str(folders["clip"]))).kind == "sentence-transformers"


def test_a_repository_of_the_hub_is_of_this_kind_by_its_modules(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub's cache, offline, as its client lays it out; also one that has no transformers config of its own."""
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    for name, commit in (("bert", "a" * 40), ("words", "b" * 40)):
        repository = tmp_path / f"models--someone--{name}"
        shutil.copytree(folders[name], repository / "snapshots" / commit)
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text(commit)
    facts, local = describe(ModelSpec(name="someone/bert")), describe(ModelSpec(name=str(folders["bert"])))
    assert (facts.kind, facts.name, facts.revision) == ("sentence-transformers", "someone/bert", "a" * 40)
    assert replace(facts, name="", key="", source="", revision="") == replace(local, name="", key="", source="")
    assert describe(ModelSpec(name="someone/words")).hidden_size == 16
    assert describe(ModelSpec(name="someone/bert", revision="a" * 40)) == facts


def test_a_folder_of_a_spec_counts_from_the_spec(folders: dict[str, Path]) -> None:
    spec = folders["words"].parent / "spec.toml"
    spec.write_text('[corpus]\nsource = "demo"\n[model]\nname = "words"\n')
    assert load_spec(spec).model.name == str(folders["words"].resolve())


def test_a_run_end_to_end(folders: dict[str, Path], tmp_path: Path) -> None:
    """Final vectors first, token states beside them, an SAE on the final vectors, and a heat-map of a concept."""
    from core import pipeline
    from core.questions.concepts import heat
    from core.questions.retrieval import evaluate
    from core.store import Store

    spec = RunSpec(
        name="sentence",
        corpus=CorpusSpec(source="demo", limit=8),
        model=ModelSpec(name=str(folders["qwen3_vl"]), dtype="float32", family="tuned"),
        embedding=EmbeddingSpec(poolings=("projected", "mean"), layers=(-1, 1)),
        sae=SaeSpec(width=16, k=4, steps=3, batch=8),
    )
    run = pipeline.run(spec, Store(tmp_path))
    assert run.views == (PROJECTED, EmbeddingView(), EmbeddingView(1))
    assert (run.family, run.preset) == ("tuned", "")
    model, row = library(folders["qwen3_vl"]), run.corpus.items("queries").item(3)
    assert np.abs(run.embeddings("queries")[3] - encoded(model, row)).max() < 1e-5
    assert 0 <= evaluate(run).evaluation.recall[1] <= 1
    shown = heat(run, 0, "queries", 3)
    assert shown.grid is not None and shown.grid.size > 1 and np.isfinite(shown.grid).all()


def test_a_check_of_such_a_run_ends_equal_or_not(folders: dict[str, Path], tmp_path: Path) -> None:
    from core import pipeline
    from core.questions.check import check, read_vectors
    from core.store import Store

    spec = RunSpec(
        name="checked",
        corpus=CorpusSpec(source="demo", limit=8),
        model=ModelSpec(name=str(folders["qwen3_vl"]), dtype="float32"),
        sae=SaeSpec(source="none"),
    )
    run = pipeline.run(spec, Store(tmp_path / "cache"))
    for change, equal in ((0.0, True), (1.0, False)):
        for part in ("queries", "candidates"):
            rows = np.array(run.embeddings(part))  # type: ignore[arg-type]
            np.save(tmp_path / f"{part}.npy", rows + change * np.random.default_rng(0).standard_normal(rows.shape))
        found = check(run, read_vectors(run, tmp_path), number=4)
        assert found.equal == equal
