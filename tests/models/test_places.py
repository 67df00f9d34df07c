"""States before the final norm, and between attention and MLP, against a plain loop over transformers with hooks of its
own, on every architecture.

The reference looks from the other side: it takes what goes into the decoder's final norm, and subtracts from a layer's
output what its MLP added.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zoo
from test_architectures import Tiny

from core.config import EmbeddingSpec, ModelSpec, parse_spec
from core.errors import NotAvailable, SpecError
from core.models import load_model
from core.models.states import StateReader
from core.models.views import resolve_views
from core.records import EmbeddingView, Item, StatePlace

BEFORE, ATTENTION = StatePlace(norm="before"), StatePlace(sublayer="attention")
PLACES = (StatePlace(), BEFORE, ATTENTION, StatePlace(2, sublayer="attention"))
POOLINGS = ("mean", "last")


@pytest.fixture(scope="module", params=zoo.MODELS)
def tiny(request: pytest.FixtureRequest, zoo_loaded: Callable[[str], Any]) -> Tiny:
    return Tiny(request.param, *zoo_loaded(request.param))


def added_by_mlp(layer: Any, seen: dict[int, Any]) -> torch.Tensor:
    """What the second half of a layer adds to its residual stream: the last thing it computes before the sum."""
    last = [part for name, part in layer.named_children() if name in {"mlp", "post_feedforward_layernorm"}][-1]
    gate = getattr(layer, "cross_attn_mlp_gate", None)
    if gate is None:
        return seen[id(last)]
    # Llama-Vision's layers that read pictures: gated, and nothing is added to tokens before the picture.
    return gate.detach().tanh() * seen[id(last)] * seen["behind_picture"]


def by_hand(tiny: Tiny, item: Item) -> dict[StatePlace, torch.Tensor]:
    """States (t, d) of one item at every place of `PLACES`, from what transformers computes after them."""
    decoder, inputs, handles = tiny.model.get_decoder(), tiny.inputs(item), []
    seen: dict[Any, Any] = {"behind_picture": ((inputs["input_ids"] == 3).cumsum(1) > 0)[..., None]}
    for part in decoder.modules():
        handles.append(part.register_forward_hook(lambda part, _args, output: seen.update({id(part): output})))
    handles.append(decoder.norm.register_forward_pre_hook(lambda _part, args: seen.update(before=args[0])))
    try:
        with torch.inference_mode():
            hidden = tiny.model(**inputs, output_hidden_states=True).hidden_states
    finally:
        for handle in handles:
            handle.remove()
    found = {StatePlace(): hidden[-1][0], BEFORE: seen["before"][0]}
    for place in (ATTENTION, StatePlace(2, sublayer="attention")):
        at = place.layer % (len(decoder.layers) + 1)
        if tiny.name == "mllama" and item.modality == "text" and at in {2, 4}:
            at -= 1  # a layer that reads pictures is passed over: what went in comes out
            output = seen[id(decoder.layers[at - 1])]
            found[place] = (output[0] if isinstance(output, tuple) else output)[0]
            continue
        layer = decoder.layers[at - 1]
        output = seen[id(layer)]
        found[place] = ((output[0] if isinstance(output, tuple) else output) - added_by_mlp(layer, seen))[0]
    return found


def test_every_place_equals_the_plain_loop_and_all_come_from_one_pass(tiny: Tiny, mixed: list[Item]) -> None:
    views = [
        EmbeddingView(place.layer, pooling, "all", place.norm, place.sublayer)
        for place, pooling in product(PLACES, POOLINGS)
    ]
    passes = 0

    def count(*_: Any) -> None:
        nonlocal passes
        passes += 1

    handle = tiny.adapter.model.get_decoder().register_forward_hook(count)
    found = tiny.adapter.embed(mixed, views)
    handle.remove()
    assert passes == len({tiny.adapter.feeds_image(item) for item in mixed})
    expected = [by_hand(tiny, item) for item in mixed]
    for view in views:
        states = [one[view.place] for one in expected]
        rows = np.stack([(s.mean(0) if view.pooling == "mean" else s[-1]).numpy() for s in states])
        assert np.abs(found[view] - rows).max() < 2e-3 * np.abs(rows).max(), view
    last = {place: found[EmbeddingView(-1, "last", "all", place.norm, place.sublayer)] for place in PLACES[:3]}
    for one, other in ((StatePlace(), BEFORE), (BEFORE, ATTENTION)):  # else a mix-up of places would not show
        assert np.abs(last[one] - last[other]).max() > 1e-2 * np.abs(last[other]).max()
    states = tiny.adapter.token_states(mixed[:1], ATTENTION).states
    assert np.abs(states - expected[0][ATTENTION].numpy()).max() < 2e-3 * np.abs(states).max()


def test_a_layer_with_attention_and_mlp_side_by_side_is_refused() -> None:
    from transformers import CohereConfig, CohereForCausalLM

    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1}
    model = CohereForCausalLM(CohereConfig(**sizes, vocab_size=16, pad_token_id=0, bos_token_id=1, eos_token_id=2))
    reader, inputs = StateReader(model), {"input_ids": torch.ones(1, 2, dtype=torch.int64)}
    with pytest.raises(NotAvailable, match="no state between attention and MLP"):
        reader.states(inputs, [ATTENTION])
    assert reader.states(inputs, [BEFORE])[BEFORE].shape == (1, 2, 16)


def test_olmo_norms_what_comes_out_of_its_mlp() -> None:
    """Its `post_attention_layernorm` sees the attention alone: another module is given the sum."""
    from transformers import Olmo2Config, Olmo2ForCausalLM

    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_hidden_layers": 2}
    torch.manual_seed(0)
    config = Olmo2Config(**sizes, num_key_value_heads=2, vocab_size=16, pad_token_id=0, bos_token_id=1, eos_token_id=2)
    model, seen = Olmo2ForCausalLM(config).eval(), {}
    layer = model.get_decoder().layers[-1]
    layer.post_feedforward_layernorm.register_forward_hook(lambda _p, _a, output: seen.update(added=output))
    layer.register_forward_hook(
        lambda _p, _a, output: seen.update(out=output[0] if isinstance(output, tuple) else output)
    )
    with torch.inference_mode():
        found = StateReader(model).states({"input_ids": torch.tensor([[3, 4, 5]])}, [ATTENTION])[ATTENTION]
    assert torch.allclose(found, seen["out"] - seen["added"], atol=1e-5)


def test_views_name_the_place_only_where_it_says_something(llava_folder: Path) -> None:
    facts = load_model(ModelSpec(name=str(llava_folder))).facts
    spec = EmbeddingSpec(layers=(-1, 1), norms=("after", "before"), sublayers=("block", "attention"))
    assert list(map(str, resolve_views(spec, facts))) == [
        "layer-1-mean-all", "layer-1-attention-mean-all", "layer-1-before-mean-all",
        "layer1-mean-all", "layer1-attention-mean-all",
    ]  # fmt: skip
    # layer 3 of 3 is the last one: its output passes the norm too
    assert str(resolve_views(EmbeddingSpec(layers=(3,), norms=("before",)), facts)[0]) == "layer3-before-mean-all"
    alone = resolve_views(EmbeddingSpec(layers=(-1, 1), norms=("after", "before"), cross=False), facts)
    assert list(map(str, alone)) == ["layer-1-mean-all", "layer-1-before-mean-all", "layer1-mean-all"]
    words = [view.words for view in resolve_views(EmbeddingSpec(norms=("before",), sublayers=spec.sublayers), facts)]
    assert words == [
        "mean over all tokens of the last layer before the final norm",
        "mean over all tokens of the last layer between attention and MLP",
    ]
    with pytest.raises(SpecError, match="no attention stands before the decoder's input"):
        resolve_views(EmbeddingSpec(layers=(0,), sublayers=("attention",)), facts)


def test_a_spec_that_names_no_place_has_the_keys_it_had() -> None:
    raw = {"corpus": {"source": "demo"}, "model": {"name": "demo-mllm"}}
    plain = parse_spec(raw).canonical()
    assert {"norms", "sublayers"}.isdisjoint(plain["embedding"])
    named = parse_spec(raw | {"embedding": {"norms": ["before"], "sublayers": ["attention", "block"]}})
    assert parse_spec(named.canonical()) == named
    assert named.keyed() != parse_spec(raw).keyed()
    with pytest.raises(SpecError, match="embedding.norms is empty"):
        parse_spec(raw | {"embedding": {"norms": []}})
    with pytest.raises(SpecError, match="embedding.sublayers is not known"):
        parse_spec(raw | {"embedding": {"sublayers": ["mlp"]}})


def test_a_dual_encoder_has_no_places(clip_folder: Path) -> None:
    facts = load_model(ModelSpec(name=str(clip_folder))).facts
    for spec in (EmbeddingSpec(norms=("before",)), EmbeddingSpec(sublayers=("attention",))):
        with pytest.raises(SpecError, match="is a dual encoder"):
            resolve_views(spec, facts)
