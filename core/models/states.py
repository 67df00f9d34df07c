"""Hidden states of one forward pass: those of the layers asked for, and next-word logits at chosen positions.

Layers are counted as in transformers' `hidden_states`: 0 is the decoder's input, i the output of layer i, the last one
(-1) is taken after the final norm, or before it. Within a layer, the state between attention and MLP can be read. A
layer that is passed over (Llama-Vision's cross-attention, where there is no image) gives out what went in.

`output_hidden_states=True` would keep every layer of the batch in memory. Hooks keep the layers asked for and no
others. Logits of every token would take gigabytes: states come from the inner model, without its vocabulary head, and a
hook hands the head the states at the chosen positions only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from core.errors import ModelError, NotAvailable
from core.models.image_tokens import cross_attention_layers
from core.records import StatePlace

if TYPE_CHECKING:
    from torch import Tensor


class StateReader:
    """Reads states of one model. Not safe for two threads at once: hooks of two passes would record into each other."""

    def __init__(self, model: Any) -> None:
        """Find the layers.

        Raises:
            ModelError: the model reads with an encoder and answers with a decoder, or its layers were not found.
        """
        if model.config.is_encoder_decoder:
            raise ModelError(
                "the model reads its input with an encoder", got=model.config.model_type, allowed="a decoder-only model"
            )
        self.model = model
        self.inner = model.base_model
        self.layers = layer_stack(model)
        self._crossing = cross_attention_layers(model.config)

    def states(self, inputs: Any, places: Sequence[StatePlace]) -> dict[StatePlace, Tensor]:
        """States (b, t, d) by place.

        Raises:
            NotAvailable: the state between attention and MLP of a decoder that has none.
        """
        with self.recording(places, "pixel_values" in inputs) as states:
            self.inner(**inputs, use_cache=False, return_dict=True)
        return states

    def states_and_logits(
        self, inputs: Any, places: Sequence[StatePlace], at: list[Tensor]
    ) -> tuple[dict[StatePlace, Tensor], list[Tensor]]:
        """States by place, and next-word logits (b, v) at each of the positions (b,) of `at`.

        The model's own forward pass makes the logits, so scaling and soft caps are in them.
        """
        import torch

        def only_these(_head: Any, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            rows = torch.arange(len(args[0]), device=args[0].device)[:, None]
            return (args[0][rows, torch.stack(at, 1).to(args[0].device)], *args[1:])

        handle = self.model.get_output_embeddings().register_forward_pre_hook(only_these)
        try:
            with self.recording(places, "pixel_values" in inputs) as states:
                logits = self.model(**inputs, use_cache=False, return_dict=True).logits
        finally:
            handle.remove()
        return states, list(logits.unbind(1))

    @contextmanager
    def recording(self, places: Sequence[StatePlace], has_image: bool) -> Iterator[dict[StatePlace, Tensor]]:
        """Gives a dictionary that holds the states of these places once the inner model has run inside."""
        sources = {place: self._source(place, has_image) for place in places}
        recorded: dict[_Source, Tensor] = {}
        handles = [self._hook(source, recorded) for source in set(sources.values())]
        states: dict[StatePlace, Tensor] = {}
        try:
            yield states
            states |= {place: recorded[source] for place, source in sources.items()}
        finally:  # also after a failure: a hook left behind would record, and hold memory, for ever
            for handle in handles:
                handle.remove()

    def _source(self, place: StatePlace, has_image: bool) -> _Source:
        """What a place means, or the last state before it that is computed.

        Without an image transformers does not call the layers that read one, so that their hooks never fire.
        """
        entry, kind = place.layer % (len(self.layers) + 1), place.sublayer
        if entry == len(self.layers) and place.norm == "after" and kind == "block":
            return _Source(entry, "normed")
        while not has_image and entry - 1 in self._crossing:
            entry, kind = entry - 1, "block"
        return _Source(entry, kind)

    def _hook(self, source: _Source, recorded: dict[_Source, Tensor]) -> Any:
        """A hook that records a source when the model comes by."""

        def before(_module: Any, args: Any, kwargs: Any) -> None:
            recorded[source] = args[0] if args else kwargs["hidden_states"]

        def after(_module: Any, _args: Any, output: Any) -> None:
            recorded[source] = output[0] if isinstance(output, tuple) else output

        def final(_module: Any, _args: Any, output: Any) -> None:
            # No layer's hook sees the final norm: the last entry is read from the output of the whole inner model.
            recorded[source] = output.last_hidden_state

        if source.kind == "normed":
            return self.inner.register_forward_hook(final)
        if source.entry == 0:
            return self.layers[0].register_forward_pre_hook(before, with_kwargs=True)
        layer = self.layers[source.entry - 1]
        if source.kind == "attention":
            return _behind_attention(layer).register_forward_pre_hook(before, with_kwargs=True)
        return layer.register_forward_hook(after)


def layer_stack(model: Any) -> Any:
    """The layers of a decoder, or of a text encoder (BERT and its like keep them elsewhere).

    Raises:
        ModelError: they were not found.
    """
    decoder = model.get_decoder()
    places = (decoder, getattr(model, "encoder", None), getattr(model, "transformer", None))
    for place, name in product(places, ("layers", "layer")):
        if (layers := getattr(place, name, None)) is not None:
            return layers
    raise ModelError("the model's layers were not found", got=type(decoder).__name__, allowed="a model with `.layers`")


@dataclass(frozen=True)
class _Source:
    """A state as the model computes it.

    Attributes:
        entry: index into `hidden_states`.
        kind: "block", "attention", or "normed" for what the final norm gives out.
    """

    entry: int
    kind: str


def _behind_attention(layer: Any) -> Any:
    """The module of a decoder layer that is given its input plus its attention output.

    Which one it is shows in the norms: Gemma norms what goes into its MLP by `pre_feedforward_layernorm`, and its
    `post_attention_layernorm` sees the attention alone; OLMo 2 and Chameleon's second kind norm only what comes out of
    the MLP.

    Raises:
        NotAvailable: a layer that is built in another way (attention and MLP side by side, for example).
    """
    parts = dict(layer.named_children())
    norms_output = "post_feedforward_layernorm" in parts or "Swin" in type(layer).__name__
    name = "mlp" if norms_output else "post_attention_layernorm"
    if module := parts.get("pre_feedforward_layernorm", parts.get(name)):
        return module
    raise NotAvailable(
        "there is no state between attention and MLP",
        got=type(layer).__name__,
        allowed="layers whose MLP follows their attention",
        todo='leave "attention" out of [embedding] sublayers',
    )


def input_device(model: Any) -> Any:
    """Where inputs go: the model's device, or that of its embedding table where accelerate has spread the layers.

    Layers moved out of the GPU have no device of their own ("meta"): what counts is where they are computed.
    """
    return computed_on(model.get_input_embeddings(), model.device)


def computed_on(module: Any, otherwise: Any) -> Any:
    """The device accelerate computes a module on; `otherwise` where it is not accelerate's."""
    return getattr(getattr(module, "_hf_hook", None), "execution_device", None) or otherwise
