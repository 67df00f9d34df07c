"""Chat models against an independent loop over `output_hidden_states`, one item at a time."""

from __future__ import annotations

import threading
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from core.config import ModelSpec
from core.errors import ModelError, NotAvailable
from core.models import Adapter, load_model
from core.models.decoder import DecoderAdapter
from core.models.prompts import BOTH_QUESTION, BOTH_SENTENCE, IMAGE, TEXT
from core.records import EmbeddingView, Item, StatePlace

LAYERS, POOLINGS = (0, 1, -2, 3, -1), ("mean", "last", "max", "min")


def written(item: Item) -> str:
    """The study's turn, spelled out by hand."""
    ask = {"text": TEXT, "image": IMAGE, "image,text": BOTH_SENTENCE if item.task == 3 else BOTH_QUESTION}[
        item.modality
    ]
    return f"<|user|>{'' if item.modality == 'text' else '<image>'}{item.text or ''}{ask}<|end|>"


@pytest.fixture(scope="module")
def independent(llava_folder: Path):  # noqa: ANN201
    """item -> (token ids, all hidden states), straight from transformers."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model = AutoModelForImageTextToText.from_pretrained(llava_folder, dtype=torch.float32).eval()
    processor = AutoProcessor.from_pretrained(llava_folder)

    def states(item: Item) -> tuple[list[int], tuple[torch.Tensor, ...]]:
        inputs = processor(text=[written(item)], images=[item.image] if item.image else None, return_tensors="pt")
        with torch.inference_mode():
            output = model(**inputs, output_hidden_states=True)
        return inputs["input_ids"][0].tolist(), tuple(h[0] for h in output.hidden_states)

    return states


def pooled(states: torch.Tensor, pooling: str) -> torch.Tensor:
    return {"mean": states.mean(0), "last": states[-1], "max": states.max(0).values, "min": states.min(0).values}[
        pooling
    ]


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def test_every_layer_and_pooling_equals_the_plain_loop(llava: Adapter, mixed: list[Item], independent) -> None:  # noqa: ANN001
    views = [EmbeddingView(layer, pooling) for layer, pooling in product(LAYERS, POOLINGS)]
    found = llava.embed(mixed, views)
    for view in views:
        expected = np.stack([pooled(independent(item)[1][view.layer], view.pooling).numpy() for item in mixed])
        assert found[view].dtype == np.float32
        assert np.abs(found[view] - expected).max() < 1e-4 * np.abs(expected).max(), view
        assert cosine(found[view], expected).min() >= 0.99999


def test_masks_select_the_tokens_written_by_hand(llava: Adapter, mixed: list[Item], independent) -> None:  # noqa: ANN001
    items = [item for item in mixed if item.modality != "image"]
    found = llava.embed(items, [EmbeddingView(-1, "mean", mask) for mask in ("all", "no-image", "no-prompt", "text")])
    for row, item in enumerate(items):
        ids, states = independent(item)
        head = 1 + 16 * (item.modality != "text")
        words = len(ids) - 1 - head  # text and instruction, between the image and <|end|>
        ask = len(llava.tokenizer(written(item)[:-7])["input_ids"]) - len(
            llava.tokenizer(written(item)[: written(item).index("\n")])["input_ids"]
        )
        position = np.arange(len(ids))
        is_image, is_prompt = np.array(ids) == 3, (position >= head + words - ask) & (position < len(ids) - 1)
        is_text = (position >= head) & (position < head + words - ask)
        keeps = {"all": position >= 0, "no-image": ~is_image, "no-prompt": ~is_prompt, "text": is_text}
        for view, values in found.items():
            expected = states[-1].numpy()[keeps[view.mask]].mean(0)
            assert np.abs(values[row] - expected).max() < 1e-4, (view, item.id)


def test_tokens_and_roles_spell_the_turn(llava: Adapter, mixed: list[Item]) -> None:
    states = llava.token_states(mixed)
    for i, item in enumerate(mixed):
        mine = [(t, r) for t, r, at in zip(states.text, states.role, states.item, strict=True) if at == i]
        assert "".join(t for t, _ in mine) == written(item).replace("<image>", "")
        assert "".join(t for t, r in mine if r == "text") == (item.text or "")
        assert "".join(t for t, r in mine if r == "prompt").startswith("\nSummarize")
        assert "".join(t for t, r in mine if r == "template") == "<|user|><|end|>"
        assert sum(r == "image" for _, r in mine) == (0 if item.modality == "text" else 16)
        assert states.grids[i] == (None if item.modality == "text" else (4, 4))
    assert llava.lengths(mixed) == [int((states.item == i).sum()) for i in range(len(mixed))]


def test_words_of_the_template_inside_a_text_stay_text(llava_chat: Adapter) -> None:
    states = llava_chat.token_states([Item("t", "text", "end user end")])
    assert "".join(t for t, r in zip(states.text, states.role, strict=True) if r == "text") == "end user end"
    assert "".join(states.text) == "<|user|>end user end<|end|>"


def test_a_text_that_spells_the_placeholder_is_still_a_text(llava: Adapter) -> None:
    states = llava.token_states([Item("t", "text", "an <image> of a fox")])
    assert "image" not in states.role
    assert states.grids == [None]


def test_one_item_alone_equals_the_same_item_in_any_batch(llava: Adapter, mixed: list[Item]) -> None:
    views = [EmbeddingView(layer, pooling) for layer, pooling in product((0, 2, -1), POOLINGS)]
    together = llava.embed(mixed, views)
    backwards = llava.embed(mixed[::-1], views)
    for view in views:
        alone = np.concatenate([llava.embed([item], [view])[view] for item in mixed])
        assert cosine(together[view], alone).min() >= 0.99999
        assert cosine(backwards[view][::-1], alone).min() >= 0.99999


def test_pooled_token_states_are_the_embedding(llava: Adapter, mixed: list[Item]) -> None:
    states = llava.token_states(mixed, StatePlace(1))
    view = EmbeddingView(1, "mean")
    means = np.stack([states.states[states.item == i].mean(0) for i in range(len(mixed))])
    assert np.abs(means - llava.embed(mixed, [view])[view]).max() < 1e-4


def test_a_mask_that_leaves_nothing_is_refused(llava: Adapter, mixed: list[Item]) -> None:
    with pytest.raises(NotAvailable, match="'i0'.*modality image"):
        llava.embed(mixed, [EmbeddingView(-1, "mean", "text")])


def test_no_items_no_rows(llava: Adapter) -> None:
    assert llava.embed([], [EmbeddingView()])[EmbeddingView()].shape == (0, 32)
    assert llava.token_states([]).states.shape == (0, 32)
    assert llava.lengths([]) == []


def test_only_the_layers_asked_for_are_kept_and_no_logits_are_made(llava: Adapter, mixed: list[Item]) -> None:
    called: list[str] = []
    handle = llava.model.lm_head.register_forward_hook(lambda *_: called.append("head"))
    before = [len(layer._forward_hooks) for layer in llava._reader.layers]
    llava.embed(mixed, [EmbeddingView(2)])
    handle.remove()
    assert called == []
    assert [len(layer._forward_hooks) for layer in llava._reader.layers] == before


def test_top_tokens_are_the_largest_products_with_the_output_head(llava: Adapter) -> None:
    directions = np.random.default_rng(0).normal(size=(2, 32)).astype(np.float32)
    scores = directions @ llava.model.lm_head.weight.detach().numpy().T
    for found, row in zip(llava.top_tokens(directions, 3), scores, strict=True):
        best = np.argsort(-row)[:3]
        assert [token for token, _ in found] == [llava.tokenizer.decode([i]) for i in best]
        assert np.allclose([value for _, value in found], row[best], atol=1e-5)


def test_generation_is_greedy_and_equals_transformers(llava: Adapter, llava_folder: Path, mixed: list[Item]) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model, processor = (
        AutoModelForImageTextToText.from_pretrained(llava_folder),
        AutoProcessor.from_pretrained(llava_folder),
    )
    item = mixed[1]
    inputs = processor(text=["<|user|><image>What is it?<|end|><|model|>"], images=[item.image], return_tensors="pt")
    ids = model.generate(**inputs, max_new_tokens=6, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    answer = llava.generate(item, "What is it?", max_new_tokens=6)
    assert answer == processor.tokenizer.decode(ids, skip_special_tokens=True).strip()
    assert answer


def test_threads_share_one_model(llava: Adapter, mixed: list[Item]) -> None:
    views = [EmbeddingView(layer) for layer in (0, 1, 2, -1)]
    expected = {view: llava.embed(mixed, [view])[view] for view in views}
    found: dict[EmbeddingView, np.ndarray] = {}
    threads = [threading.Thread(target=lambda v=view: found.update(llava.embed(mixed, [v]))) for view in views * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(found[view], expected[view]) for view in views)


def test_layers_moved_out_of_memory_change_nothing(
    llava: Adapter, llava_folder: Path, mixed: list[Item], tmp_path: Path
) -> None:
    from accelerate import disk_offload

    spread = load_model(ModelSpec(name=str(llava_folder)))
    disk_offload(spread.model, str(tmp_path), execution_device=torch.device("cpu"))
    assert {parameter.device.type for parameter in spread.model.parameters()} == {"meta"}
    views = [
        EmbeddingView(layer, "mean", mask) for layer, mask in product((0, 2, -1), ("all", "no-prompt", "no-outliers"))
    ]
    found, expected = spread.embed(mixed, views), llava.embed(mixed, views)
    assert all(np.array_equal(found[view], expected[view]) for view in views)
    directions = np.random.default_rng(1).normal(size=(2, 32))
    assert spread.top_tokens(directions, 3) == llava.top_tokens(directions, 3)
    assert spread.generate(mixed[1], "What is it?", 4) == llava.generate(mixed[1], "What is it?", 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"is_encoder_decoder": True}, "reads its input with an encoder; got tiny; allowed: a decoder-only model"),
        ({"image_token_id": None}, "the processor names no image token; got SimpleNamespace"),
        ({"layers": None}, "the model's layers were not found; got SimpleNamespace"),
        (
            {"is_fast": False},
            "the tokenizer gives no character offsets; got SimpleNamespace; allowed: a fast tokenizer",
        ),
    ],
)
def test_architectures_that_cannot_be_pooled_are_refused(change: dict[str, object], message: str) -> None:
    config = SimpleNamespace(
        is_encoder_decoder=False, image_token_id=3, model_type="tiny", get_text_config=SimpleNamespace
    )
    config.__dict__.update(change)
    decoder = SimpleNamespace() if "layers" in change else SimpleNamespace(layers=[])
    model = SimpleNamespace(config=config, base_model=None, get_decoder=lambda: decoder)
    with pytest.raises(ModelError, match=message):
        DecoderAdapter(
            SimpleNamespace(preset="study"),
            model,
            SimpleNamespace(tokenizer=SimpleNamespace(is_fast=change.get("is_fast", True))),
        )  # type: ignore[arg-type]
