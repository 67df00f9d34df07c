"""Reading where the model answers, on every architecture, against transformers called as its documentation says.

The reference is one item at a time through `apply_chat_template(add_generation_prompt=True)`: the last hidden state of
each layer, and the softmax of the logits there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zoo
from test_architectures import parts

from core.config import EmbeddingSpec, ModelSpec
from core.errors import NotAvailable
from core.models import Adapter, check_processor, describe, load_model
from core.models.answer import LARGEST, WORD_VIEWS, as_sparse
from core.models.outliers import MEASURE
from core.models.views import resolve_views
from core.records import EmbeddingView, Item

CHAT = [name for name in zoo.MODELS if name not in ("paligemma", "chameleon")]
ANSWERS = [EmbeddingView(layer, "answer") for layer in (0, 1, -2, -1)]
WORDS = list(WORD_VIEWS.values())
OTHERS = [
    *(EmbeddingView(layer, pooling) for layer, pooling in product((0, 2, -1), ("mean", "last", "max", "min", MEASURE))),
    *(EmbeddingView(-1, "mean", mask) for mask in ("no-image", "no-prompt", "no-outliers")),
    EmbeddingView(1, "last", "no-prompt"),
]


@dataclass(frozen=True, repr=False)
class Tiny:
    name: str
    adapter: Adapter
    model: Any
    processor: Any

    def reference(self, item: Item, opened: bool = True) -> tuple[list[np.ndarray], np.ndarray]:
        """The last state of every layer and the next-word probabilities, with or without the answer header."""
        turn = [
            {"type": "image", "image": item.image} if part is None else {"type": "text", "text": part}
            for part in parts(item)
        ]
        more = {"date_string": "26 Jul 2024"} if self.name == "mllama" else {}
        inputs = self.processor.apply_chat_template(
            [{"role": "user", "content": turn}],
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            add_generation_prompt=opened,
            **more,
        )
        with torch.inference_mode():
            output = self.model(**inputs, output_hidden_states=True)
        return [h[0, -1].numpy() for h in output.hidden_states], output.logits[0, -1].float().softmax(0).numpy()


@pytest.fixture(scope="module", params=CHAT)
def tiny(request: pytest.FixtureRequest, zoo_loaded: Callable[[str], Any]) -> Tiny:
    return Tiny(request.param, *zoo_loaded(request.param))


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def dense(rows: np.ndarray, vocabulary: int) -> np.ndarray:
    found = np.zeros((len(rows), vocabulary))
    for row, entries in enumerate(rows):
        for entry in entries:
            found[row, entry["id"]] = entry["weight"]
    return found


def test_the_state_and_the_words_are_those_of_the_plain_loop_in_any_batch(tiny: Tiny, mixed: list[Item]) -> None:
    opened, closed = ([tiny.reference(item, flag) for item in mixed] for flag in (True, False))
    together = tiny.adapter.embed(mixed, [*ANSWERS, *WORDS, EmbeddingView()])
    alone = [tiny.adapter.embed([item], [*ANSWERS, *WORDS]) for item in mixed]
    for view in ANSWERS:
        if tiny.name == "mllama" and view.layer not in (0, 1, -1):  # passed over without an image: test_architectures
            continue
        expected = np.stack([states[view.layer] for states, _ in opened])
        for found in (together[view], np.concatenate([one[view] for one in alone])):
            assert found.dtype == np.float32
            assert float(cosine(found, expected).min()) >= 0.99999, view
            assert float(np.abs(found - expected).max()) < 2e-3 * float(np.abs(expected).max()), view
        before = np.stack([states[view.layer] for states, _ in closed])
        to_it, to_the_place_before = (np.linalg.norm(together[view] - one, axis=1) for one in (expected, before))
        assert view.layer == 0 or (to_it < 0.1 * to_the_place_before).all(), view
    for view, reference in zip(WORDS, (opened, closed), strict=True):
        expected = np.sqrt(np.stack([words for _, words in reference]))
        vocabulary = expected.shape[1]
        assert tiny.adapter.vocabulary == vocabulary > LARGEST
        for rows in (together[view], np.concatenate([one[view] for one in alone])):
            assert rows.shape == (len(mixed), LARGEST)
            assert (np.diff(rows["id"], axis=1) > 0).all()
            found = dense(rows, vocabulary)
            kept = found > 0
            assert np.abs(found - expected)[kept].max() < 2e-3, view
            smallest = np.sort(expected, axis=1)[:, -LARGEST]
            assert (np.where(kept, 0, expected).max(1) <= smallest + 1e-3).all()  # the largest, none left out
            assert np.abs(as_sparse(rows, vocabulary).toarray() - found).max() == 0


def test_every_other_view_is_as_without_the_header(tiny: Tiny, mixed: list[Item]) -> None:
    for items, extra in (
        (mixed, []),
        ([i for i in mixed if i.modality != "image"], [EmbeddingView(2, "mean", "text")]),
    ):
        views = [*OTHERS, *extra]
        with_header = tiny.adapter.embed(items, [*views, *ANSWERS, *WORDS])
        without = tiny.adapter.embed(items, views)
        for view in views:
            gap = np.linalg.norm(with_header[view] - without[view], axis=1)
            assert (gap <= 1e-5 * np.linalg.norm(without[view], axis=1)).all(), (view, gap)
    assert tiny.adapter._header(mixed) is not None  # so it was one pass
    assert tiny.adapter._ahead == {False: False, True: False}


def test_one_pass_does_both(tiny: Tiny, mixed: list[Item]) -> None:
    texts, calls = [item for item in mixed if item.modality == "text"], []
    tiny.adapter.embed(texts[:1], [EmbeddingView(), *ANSWERS])  # whether it hears ahead is measured once
    handle = tiny.adapter._reader.inner.register_forward_hook(lambda *_: calls.append(1))
    tiny.adapter.embed(texts, [*OTHERS, *ANSWERS, *WORDS])
    handle.remove()
    assert len(calls) == 1


# Models for which it must not be taken for granted -----------------------------------------------------------------


def attend_both_ways(model: Any) -> None:
    """Every token of a turn sees every other, as PaliGemma's prefix does."""

    def open_up(_module: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        padding = kwargs["attention_mask"][:, None, None] == 0
        mask = torch.zeros(padding.shape).masked_fill(padding, torch.finfo(torch.float32).min)
        return args, kwargs | {"attention_mask": mask.expand(-1, -1, padding.shape[-1], -1)}

    model.get_decoder().register_forward_pre_hook(open_up, with_kwargs=True)


def test_a_model_that_hears_ahead_gets_a_pass_of_its_own(llava_folder: Path, mixed: list[Item]) -> None:
    adapter = load_model(ModelSpec(name=str(llava_folder)))
    attend_both_ways(adapter.model)
    views = [EmbeddingView(-1, "mean"), EmbeddingView(2, "last"), EmbeddingView(-1, "mean", "no-prompt")]
    without, found = adapter.embed(mixed, views), adapter.embed(mixed, [*views, *ANSWERS, *WORDS])
    assert adapter._ahead == {False: True, True: True}
    for view in views:
        assert np.array_equal(found[view], without[view]), view
    turn = "<|user|>A red fox.\nSummarize the above sentence in one word: <|end|>"
    for view, text in ((ANSWERS[-1], turn + "<|model|>"), (EmbeddingView(-1, "last"), turn)):
        with torch.inference_mode():
            states = adapter.model(**adapter.processor(text=[text], return_tensors="pt"), output_hidden_states=True)
        row = adapter.embed(mixed[:1], [view, ANSWERS[-1]])[view][0]
        assert np.abs(row - states.hidden_states[-1][0, -1].numpy()).max() < 1e-4, view


def test_a_header_that_merges_with_the_turn_gets_a_pass_of_its_own(llava_folder: Path, mixed: list[Item]) -> None:
    adapter = load_model(ModelSpec(name=str(llava_folder)))
    adapter.processor.chat_template = (
        "{% for m in messages %}{% for c in m['content'] %}{% if c['type'] == 'image' %}<image>{% else %}"
        "{{ c['text'] }}{% endif %}{% endfor %} the old br{% endfor %}{% if add_generation_prompt %}idge{% endif %}"
    )
    assert adapter._header(mixed) is None
    views = [EmbeddingView(-1, "mean"), EmbeddingView(1, "mean", "no-prompt")]
    without, found = adapter.embed(mixed, views), adapter.embed(mixed, [*views, *ANSWERS, *WORDS])
    for view in views:
        assert np.array_equal(found[view], without[view])
    turn = "A red fox.\nSummarize the above sentence in one word:  the old bridge"
    with torch.inference_mode():
        states = adapter.model(**adapter.processor(text=[turn], return_tensors="pt"), output_hidden_states=True)
    assert np.abs(found[ANSWERS[-1]][0] - states.hidden_states[-1][0, -1].numpy()).max() < 1e-4


# Models without a header -------------------------------------------------------------------------------------------

ONE_LINE = "{} has no answer header; got {}; allowed: a chat model whose template opens the model's turn .*; next: {}"


@pytest.mark.parametrize("name", ["paligemma", "chameleon"])
def test_models_without_a_chat_template_have_no_answer_but_a_next_word(
    name: str, zoo_loaded: Callable[[str], Any], mixed: list[Item]
) -> None:
    adapter = zoo_loaded(name).adapter
    line = ONE_LINE.format(
        name, f"{name}, which has no chat template", "take pooling 'last': .* right behind the prompt"
    )
    for asked in (EmbeddingSpec(poolings=("mean", "answer")), EmbeddingSpec(words=("answer",))):
        with pytest.raises(NotAvailable, match=line):
            resolve_views(asked, adapter.facts)
    with pytest.raises(NotAvailable, match=line):
        adapter.embed(mixed, ANSWERS)
    views = [EmbeddingView(), EmbeddingView(1, "mean", "no-prompt")]
    found, without = adapter.embed(mixed, [*views, WORD_VIEWS["last"]]), adapter.embed(mixed, views)
    assert all(np.abs(found[view] - without[view]).max() < 1e-5 for view in views)
    rendered = adapter.inputs(mixed[:1])[0]
    with torch.inference_mode():
        expected = adapter.model(**rendered).logits[0, -1].softmax(0).sqrt().numpy()
    entries = found[WORD_VIEWS["last"]][0]
    assert np.abs(entries["weight"] - expected[entries["id"]]).max() < 1e-4


def test_a_template_without_a_header_is_refused_before_and_while_encoding(
    llava_folder: Path, mixed: list[Item], tmp_path: Path
) -> None:
    from shutil import copytree

    folder = copytree(llava_folder, tmp_path / "bare")
    template = folder / "chat_template.jinja"
    template.write_text(template.read_text().partition("{% if add_generation_prompt")[0])
    line = ONE_LINE.format("bare", "a chat template that writes nothing for .*", "take pooling 'last': .*")
    spec = ModelSpec(name=str(folder))
    check_processor(spec)
    with pytest.raises(NotAvailable, match=line):
        check_processor(spec, answers=True)
    check_processor(replace(spec, name=str(llava_folder)), answers=True)
    with pytest.raises(NotAvailable, match=line):
        load_model(spec).embed(mixed, ANSWERS)


@pytest.mark.parametrize("style", ["gme", "vlm2vec", "e5-v", "lamra"])
def test_prompts_that_bring_their_own_end_are_refused(style: str, llava_folder: Path) -> None:
    facts = describe(ModelSpec(name=str(llava_folder), preset=style))  # type: ignore[arg-type]
    with pytest.raises(NotAvailable, match=f"no answer header; got prompts '{style}'.*preset = \"study\""):
        resolve_views(EmbeddingSpec(poolings=("answer",)), facts)


def test_an_answer_is_one_token_whatever_the_mask(llava: Adapter) -> None:
    spec = EmbeddingSpec(poolings=("mean", "answer"), masks=("no-prompt", "all"))
    found = [(view.pooling, view.mask) for view in resolve_views(spec, llava.facts)]
    assert found == [("mean", "no-prompt"), ("mean", "all"), ("answer", "all")]
    assert EmbeddingView(-1, "answer").words == "where the model's answer begins, at the last layer"
