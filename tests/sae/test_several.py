"""Several widths and Ks: the model runs once, each SAE is what it would be alone, and each is found again by itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from core.config import SaeSpec, parse_spec
from core.errors import SpecError
from core.models import ModelFacts
from core.progress import NoProgress
from core.records import LAST_STATE, EmbeddingView, Item, StatePlace, TokenStates
from core.run import Run
from core.sae import obtain
from core.sae import train as training
from core.sae.files import read_weight
from core.sae.trained import plans
from core.store import Draft, Folder, Store

D, N = 8, 40
VIEW = EmbeddingView()
CHAT = ModelFacts("tiny", "chat", "0" * 16, "/nowhere", "", "fake", D, 2, "float32", "study")
ONE = SaeSpec(width=24, k=3, steps=6, batch=16, learning_rate=1e-2)
FOUR = replace(ONE, widths=(12,), ks=(2,))


class Model:
    """Three tokens per item; counts the items it sees."""

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self) -> Model:
        return self

    def token_states(self, items: list[Item], place: StatePlace = LAST_STATE) -> TokenStates:
        self.seen += len(items)
        states = np.concatenate([np.random.default_rng(int(item.id)).normal(size=(3, D)) for item in items])
        return TokenStates(states.astype(np.float32), np.repeat(np.arange(len(items)), 3), [], [], [])


class _Table:
    def __len__(self) -> int:
        return N

    def item(self, at: int) -> Item:
        return Item(str(at), "text", "x")


def get(spec: SaeSpec, store: Store, model: Model) -> tuple[Folder, ...]:
    def write(draft: Draft) -> None:
        draft.save(str(VIEW), np.random.default_rng(2).normal(size=(N, D)).astype(np.float32))

    corpus = SimpleNamespace(name="made", items=lambda part: _Table())
    encoded = {"queries": store.build("encode", "tiny", {}, (), write)}
    return obtain(spec, corpus, CHAT, model, encoded, VIEW, store, NoProgress())  # type: ignore[arg-type]


def test_every_width_with_every_k_the_runs_own_first() -> None:
    assert [plan.name for plan in plans(FOUR, CHAT, 6)] == ["24-3", "24-2", "12-3", "12-2"]
    study = replace(ONE, preset="study", width=None)
    assert plans(study, CHAT, 6)[0].width == 32768
    assert plans(study, replace(CHAT, kind="dual"), 6)[0].width == 7168
    assert plans(replace(study, width=64), replace(CHAT, kind="dual"), 6)[0].width == 64


def test_one_pass_of_the_model_gives_each_what_it_would_be_alone(tmp_path: Path) -> None:
    model, alone = Model(), Model()
    four = get(FOUR, Store(tmp_path / "a"), model)
    assert [(f.facts["width"], f.facts["k"]) for f in four] == [(24, 3), (24, 2), (12, 3), (12, 2)]
    for folder in four:
        spec = replace(ONE, width=folder.facts["width"], k=folder.facts["k"])
        (single,) = get(spec, Store(tmp_path / f"b{folder.facts['width']}{folder.facts['k']}"), alone)
        assert single.key == folder.key
        assert np.array_equal(read_weight(single.path, "W_enc"), read_weight(folder.path, "W_enc"))
        assert single.facts == folder.facts
    assert alone.seen == 4 * model.seen


def test_what_is_there_is_not_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, trained = Store(tmp_path), []
    once = training.train
    monkeypatch.setattr(
        training, "train", lambda jobs, *rest: trained.append([p.name for p in jobs.values()]) or once(jobs, *rest)
    )
    (first,) = get(ONE, store, Model())
    four = get(FOUR, store, Model())
    assert trained == [["24-3"], ["12-2", "12-3", "24-2"]]
    assert four[0].path == first.path
    assert get(FOUR, store, Model()) == four
    assert len(trained) == 2


def test_folders_hold_what_every_sae_holds_and_nothing_of_the_training(tmp_path: Path) -> None:
    for folder in get(FOUR, Store(tmp_path), Model()):
        assert set(folder.manifest["files"]) == {"cfg.json", "sae_weights.safetensors", "dictionary.npy"}
        facts = folder.facts
        assert (facts["source"], facts["input"]) == ("trained here", "raw")
        assert facts["trained_on"] == f"token states of {N} queries of made; tiny, {VIEW.words}"
        told = facts["training"]
        assert (told["steps"], told["batch"], told["learning_rate"], told["data"], told["preset"]) == (
            6,
            16,
            1e-2,
            "tokens",
            "sae-lens",
        )
        assert facts["log"][-1]["step"] == 5


def test_an_interruption_between_two_folders_trains_nothing_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0)
    store, model = Store(tmp_path), Model()
    with monkeypatch.context() as patched:
        patched.setattr("core.sae.trained.finish", _Failing(after=2))
        with pytest.raises(KeyboardInterrupt):
            get(FOUR, store, model)
    seen = model.seen
    assert len(store.folders("sae")) == 2
    assert len(get(FOUR, store, model)) == 4
    assert model.seen == seen


class _Failing:
    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, *args: object) -> None:
        from core.sae.files import finish

        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        finish(*args)  # type: ignore[arg-type]


def test_a_run_lists_its_saes(tmp_path: Path) -> None:
    store = Store(tmp_path)
    four = get(FOUR, store, Model())
    run = store.build("run", "r", {}, (), lambda draft: draft.facts.update(sae=four[0].key, saes=[f.key for f in four]))
    old = store.build("run", "o", {"old": 1}, (), lambda draft: draft.facts.update(sae=four[1].key))
    none = store.build("run", "n", {"none": 1}, (), lambda draft: draft.facts.update(sae=None))
    assert [(s.name, s.width, s.k, s.folder) for s in Run(run, store).saes()] == [
        ("24 x 3", 24, 3, four[0]), ("24 x 2", 24, 2, four[1]), ("12 x 3", 12, 3, four[2]), ("12 x 2", 12, 2, four[3]),
    ]  # fmt: skip
    assert [s.name for s in Run(old, store).saes()] == ["24 x 2"]
    assert Run(none, store).saes() == ()


def test_settings_of_a_run_say_how_its_dictionary_was_trained(tmp_path: Path) -> None:
    from core.inventory import sae_settings

    store = Store(tmp_path)
    four = get(FOUR, store, Model())
    run = store.build("run", "r", {}, (), lambda draft: draft.facts.update(sae=four[0].key, saes=[f.key for f in four]))
    told = {row["setting"]: row["value"] for row in sae_settings(Run(run, store))}
    assert (told["SAE width"], told["SAE k"], told["SAE source"], told["SAE input"]) == (
        "24",
        "3",
        "trained here",
        "raw",
    )
    assert (told["SAE training: learning rate"], told["SAE training: steps"], told["SAE training: batch"]) == (
        "0.01",
        "6",
        "16",
    )
    assert (told["SAE training: preset"], told["SAE training: architecture"], told["SAE training: seed"]) == (
        "sae-lens",
        "topk",
        "0",
    )
    assert told["SAE beside it"] == "24 x 2, 12 x 3, 12 x 2"
    none = store.build("run", "n", {"none": 1}, (), lambda draft: draft.facts.update(sae=None))
    assert sae_settings(Run(none, store)) == []


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"source": "shipped", "ks": [3]}, "for training"),
        ({"width": 0}, "sae.width"),
        ({"widths": [1]}, "sae.width"),
        ({"width": 64, "ks": [65]}, "sae.k .*got 65.*1 to 64"),
        ({"widths": [16], "k": 17}, "sae.k .*got 17.*1 to 16"),
        ({"preset": "study", "architecture": "batchtopk"}, "Top-K"),
        ({"preset": "studdy"}, "'study' .nearest."),
        ({"learning_rate": 0}, "learning_rate"),
        ({"decay": 1.5}, "sae.decay"),
    ],
)
def test_settings_that_cannot_be_are_refused(keys: dict[str, object], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        parse_spec({"corpus": {"source": "demo"}, "model": {"name": "demo-mllm"}, "sae": keys})


def test_lists_of_a_spec_file() -> None:
    raw = {
        "corpus": {"source": "demo"},
        "model": {"name": "demo-mllm"},
        "sae": {"preset": "study", "widths": [128, 256], "ks": [8]},
    }
    assert parse_spec(raw).sae == SaeSpec(preset="study", widths=(128, 256), ks=(8,))
    assert parse_spec(parse_spec(raw).canonical()).sae == parse_spec(raw).sae


def test_the_first_of_the_lists_is_the_run_s_own() -> None:
    assert (SaeSpec(widths=(64, 128), ks=(4, 8)).width, SaeSpec(widths=(64, 128), ks=(4, 8)).k) == (64, 4)
    assert (SaeSpec(width=96, widths=(64,), k=5, ks=(4,)).width, SaeSpec(width=96, widths=(64,), k=5, ks=(4,)).k) == (
        96,
        5,
    )
    assert (SaeSpec().width, SaeSpec().k, SaeSpec().width_for(dual=False)) == (None, 50, 32768)
