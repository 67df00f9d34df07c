"""Every generating architecture as a local checkpoint, against transformers called as its documentation says, one item
at a time.

The reference goes through `processor.apply_chat_template(tokenize=True)` and `model(output_hidden_states=True)`; it
shares no code with the adapters. The prompts are written out here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
import zoo

from core.config import ModelSpec
from core.models import Adapter, load_model
from core.records import EmbeddingView, Item

POOLINGS = ("mean", "last", "max", "min")
ASK = {
    "text": "\nSummarize the above sentence in one word: ",
    "image": "\nSummarize the above image in one word: ",
    3: "\nSummarize above image and sentence in one word: ",
    7: "\nSummarize the above image with the question in one word: ",
}
WITHOUT_TEMPLATE = ("paligemma", "chameleon")


def parts(item: Item) -> list[str | None]:
    """The study's turn; None for the image."""
    if item.modality != "image,text":
        return [item.text if item.modality == "text" else None, ASK[item.modality]]
    return [None, item.text + ASK[3]] if item.task == 3 else [None, item.text, ASK[7]]


@dataclass(frozen=True, repr=False)
class Tiny:
    name: str
    adapter: Adapter
    model: Any
    processor: Any

    def inputs(self, item: Item, answer: str = "", bare: bool = False) -> Any:
        """What transformers' documentation says to call, for one item.

        Args:
            answer: ask this about the item and open the model's turn.
            bare: the item alone; else the study's turn.
        """
        own = [*([None] if item.modality != "text" else []), *([item.text] if item.text else [])]
        content = [*own, answer] if answer else own if bare else parts(item)
        if self.name in WITHOUT_TEMPLATE:
            return self._plain(item, "".join(part or "" for part in content), as_trained=bool(answer) or bare)
        turn = [
            {"type": "image", "image": item.image} if part is None else {"type": "text", "text": part}
            for part in content
        ]
        more = {"date_string": "26 Jul 2024"} if self.name == "mllama" else {}
        return self.processor.apply_chat_template(
            [{"role": "user", "content": turn}],
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            add_generation_prompt=bool(answer),
            **more,
        )

    def _plain(self, item: Item, words: str, as_trained: bool) -> Any:
        from PIL import Image

        if self.name == "paligemma":
            image = item.image or Image.new("RGB", (112, 112))
            inputs = self.processor(images=[image], text=["<image>" + words], return_tensors="pt")
            inputs.pop("labels", None)
            if not as_trained:  # the released code does not pass them
                inputs.pop("token_type_ids")
            return inputs
        image = item.image and item.image.resize((224, 224), Image.Resampling.LANCZOS)
        text = (("<image>" if image else "") + words).strip()
        return self.processor(images=[image] if image else None, text=[text], return_tensors="pt")

    def states(self, item: Item) -> tuple[list[int], list[torch.Tensor]]:
        """Token ids and all hidden states (t, d)."""
        inputs, raw = self.inputs(item), []
        handle = (
            self.model.get_decoder().layers[2].register_forward_hook(lambda _module, _args, output: raw.append(output))
        )
        with torch.inference_mode():
            found = [h[0] for h in self.model(**inputs, output_hidden_states=True).hidden_states]
        handle.remove()
        if (
            self.name == "mllama" and item.modality == "text"
        ):  # layers 1 and 3 read pictures: passed over, what went in comes out
            found = [found[0], found[1], found[1], raw[0][0], found[2]]
        return inputs["input_ids"][0].tolist(), found


@pytest.fixture(scope="module", params=zoo.MODELS)
def tiny(request: pytest.FixtureRequest, zoo_loaded: Callable[[str], Any]) -> Tiny:
    return Tiny(request.param, *zoo_loaded(request.param))


def pooled(states: torch.Tensor, pooling: str) -> np.ndarray:
    found = {"mean": states.mean(0), "last": states[-1], "max": states.max(0).values, "min": states.min(0).values}[
        pooling
    ]
    return found.numpy()


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def test_every_layer_and_pooling_equals_the_plain_loop_in_any_batch(tiny: Tiny, mixed: list[Item]) -> None:
    layers = range(tiny.adapter.facts.layers + 1)
    views = [EmbeddingView(layer, pooling) for layer, pooling in product([*layers, -1], POOLINGS)]
    states = [tiny.states(item)[1] for item in mixed]
    assert len(states[1]) == len(layers)
    batches = (
        tiny.adapter.embed(mixed, views),
        tiny.adapter.embed(mixed[::-1], views),
        [tiny.adapter.embed([i], views) for i in mixed],
    )
    for view in views:
        expected = np.stack([pooled(one[view.layer], view.pooling) for one in states])
        alone = np.concatenate([one[view] for one in batches[2]])
        for found in (batches[0][view], batches[1][view][::-1], alone):
            assert float(cosine(found, expected).min()) >= 0.99999, view
            assert float(np.abs(found - expected).max()) < 2e-3 * float(np.abs(expected).max()), view
        differs = float(cosine(expected[:1], expected[1:]).max())
        assert view.pooling != "mean" or differs < 0.9999, view  # so a mix-up of items would show


def test_lengths_are_the_token_counts_without_reading_a_pixel(tiny: Tiny, mixed: list[Item]) -> None:
    from dataclasses import replace

    from PIL import Image

    counts = [len(tiny.states(item)[0]) for item in mixed]
    blank = [replace(item, image=item.image and Image.new("RGB", item.image.size)) for item in mixed]
    assert tiny.adapter.lengths(mixed) == counts
    assert tiny.adapter.lengths(blank) == counts


def spelled(tiny: Tiny, ids: list[int]) -> list[bytes]:
    """What each token writes, by the tokenizer's own table of bytes; special tokens as they are named."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    table, special = {c: b for b, c in bytes_to_unicode().items()}, set(tiny.adapter.tokenizer.all_special_tokens)
    tokens = tiny.adapter.tokenizer.convert_ids_to_tokens(ids)
    return [
        t.encode() if t in special or any(c not in table for c in t) else bytes(table[c] for c in t) for t in tokens
    ]


def by_hand(tiny: Tiny, item: Item, ids: list[int]) -> list[str]:
    """Role of every token, from where its first visible byte stands in the turn."""
    pieces = spelled(tiny, ids)
    turn, starts = b"".join(pieces), np.cumsum([0, *map(len, pieces)])
    ask = (parts(item)[-1] or "").removeprefix(item.text or "").strip().encode()
    ask_at = turn.rfind(ask)
    text = (item.text or "").encode()
    text_at = turn.rfind(text, 0, ask_at)
    image = getattr(tiny.model.config, "image_token_id", getattr(tiny.model.config, "image_token_index", None))
    roles = []
    for token, piece, start in zip(ids, pieces, starts[:-1], strict=True):
        at = start + len(piece) - len(piece.lstrip())
        if token == image and tiny.name != "mllama":
            roles.append("image")
        elif ask_at <= at < ask_at + len(ask) and piece.strip():
            roles.append("prompt")
        else:
            roles.append("text" if text and text_at <= at < text_at + len(text) and piece.strip() else "template")
    return roles


def test_roles_and_masks_are_those_of_the_token_strings(tiny: Tiny, mixed: list[Item]) -> None:
    """White space between the parts may count to either neighbour; every visible token has the role worked out by
    hand."""
    found = tiny.adapter.token_states(mixed)
    for row, item in enumerate(mixed):
        ids, states = tiny.states(item)
        mine = found.item == row
        roles = [role for role, own in zip(found.role, mine, strict=True) if own]
        visible = np.array([bool(piece.strip()) for piece in spelled(tiny, ids)])
        expected = by_hand(tiny, item, ids)
        assert [r for r, v in zip(roles, visible, strict=True) if v] == [
            r for r, v in zip(expected, visible, strict=True) if v
        ], item.id
        assert {"text", "prompt"} & set(expected) == ({"prompt"} if item.modality == "image" else {"text", "prompt"})
        assert ("image" in expected) == (
            tiny.name == "paligemma" or (item.modality != "text" and tiny.name != "mllama")
        )
        assert np.abs(found.states[mine] - states[-1].numpy()).max() < 2e-3 * float(states[-1].abs().max())
        masks = {
            "no-image": {"text", "prompt", "template"},
            "no-prompt": {"image", "text", "template"},
            "text": {"text"},
        }
        views = [
            EmbeddingView(1, p, mask)
            for p, mask in product(POOLINGS, masks)
            if (mask, item.modality) != ("text", "image")
        ]
        for view, values in tiny.adapter.embed([item], views).items():
            own = torch.tensor([role in masks[view.mask] for role in roles])
            assert cosine(values, pooled(states[1][own], view.pooling)[None]).min() >= 0.99999, view


TILED = {"llava_next", "llava_onevision", "idefics3", "smolvlm"}


def test_image_tokens_have_a_grid_where_they_are_one(tiny: Tiny, mixed: list[Item]) -> None:
    found = tiny.adapter.token_states(mixed)
    grids = [grid for grid in found.grids if grid]
    for row, item in enumerate(mixed):
        grid, images = (
            found.grids[row],
            sum(r == "image" for r, at in zip(found.role, found.item, strict=True) if at == row),
        )
        assert grid is None or (item.modality != "text" and grid[0] * grid[1] == images)
    tiles = {"internvl": 2, "mllama": 4} | dict.fromkeys(
        TILED, 4
    )  # InternVL cuts up two of the four images; Llama-Vision has no image tokens
    assert len(grids) == 4 - tiles.get(tiny.name, 0)
    if tiny.name.startswith("qwen"):
        shapes = [tiny.inputs(item)["image_grid_thw"][0, 1:] // 2 for item in mixed if item.image]
        assert grids == [tuple(shape.tolist()) for shape in shapes]
        assert len(set(grids)) > 1


def test_generation_equals_transformers(tiny: Tiny, mixed: list[Item]) -> None:
    for item in (mixed[0], mixed[2]):
        inputs = tiny.inputs(item, answer="What is it?")
        ids = tiny.model.generate(**inputs, max_new_tokens=5, do_sample=False)[0, inputs["input_ids"].shape[1] :]
        assert (
            tiny.adapter.generate(item, "What is it?", 5)
            == tiny.processor.tokenizer.decode(ids, skip_special_tokens=True).strip()
        )


def test_generation_in_a_batch_is_that_of_each_item_alone(tiny: Tiny, mixed: list[Item]) -> None:
    """Items of other lengths, with and without pictures: padding stands on the left, where no answer sees it."""
    alone = [tiny.adapter.generate(item, "What is it?", 5) for item in mixed]
    assert tiny.adapter.generate_all(mixed, "What is it?", 5) == alone
    assert tiny.adapter.generate_all(mixed[::-1], "What is it?", 5) == alone[::-1]
    assert tiny.adapter.tokenizer.padding_side == "right"  # as embedding needs it


def test_the_chat_preset_is_the_bare_item_in_the_models_own_turn(tiny: Tiny, mixed: list[Item]) -> None:
    chat, view = load_model(ModelSpec(name=tiny.adapter.facts.source, dtype="float32", preset="chat")), EmbeddingView()
    with torch.inference_mode():
        expected = [
            tiny.model(**tiny.inputs(i, bare=True), output_hidden_states=True).hidden_states[-1][0].mean(0)
            for i in mixed
        ]
    assert cosine(chat.embed(mixed, [view])[view], torch.stack(expected).numpy()).min() >= 0.99999
    found = chat.token_states(mixed)
    for row, item in enumerate(mixed):
        words = "".join(
            t for t, r, at in zip(found.text, found.role, found.item, strict=True) if at == row and r == "text"
        )
        assert words.strip() == (item.text or "").strip()
    assert "prompt" not in found.role


def test_a_text_that_spells_a_placeholder_is_still_a_text(tiny: Tiny) -> None:
    names = ("image_token", "video_token")
    spelled_out = " ".join(
        {t for owner in (tiny.processor, tiny.processor.tokenizer) for n in names if (t := getattr(owner, n, None))}
    )
    found = tiny.adapter.token_states([Item("t", "text", f"an {spelled_out} of a fox")])
    assert spelled_out
    assert ("image" in found.role) == (tiny.name == "paligemma")
    assert np.isfinite(found.states).all()
