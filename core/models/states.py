"""Hidden states of one forward pass: those of the layers asked for, and next-word logits at chosen positions.

Layers are counted as in transformers' `hidden_states`: 0 is the decoder's input, i the output of layer i, the last one
(-1) is taken after the final norm. A layer that is passed over (Llama-Vision's cross-attention, where there is no
image) gives out what went in.

`output_hidden_states=True` would keep every layer of the batch in memory. Hooks keep the layers asked for and no
others. Logits of every token would take gigabytes: states come from the inner model, without its vocabulary head, and a
hook hands the head the states at the chosen positions only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from core.errors import ModelError
from core.models.image_tokens import cross_attention_layers

if TYPE_CHECKING:
    from torch import Tensor


class StateReader:
    """Reads states of one model. Not safe for two threads at once: hooks of two passes would record into each other."""

    def __init__(self, model: Any) -> None:
        """Find the decoder's layers.

        Raises:
            ModelError: the model reads with an encoder, or its decoder has no `.layers`.
        """
        decoder = model.get_decoder()
        if model.config.is_encoder_decoder:
            raise ModelError(
                "the model reads its input with an encoder", got=model.config.model_type, allowed="a decoder-only model"
            )
        if not hasattr(decoder, "layers"):
            raise ModelError(
                "the decoder's layers were not found", got=type(decoder).__name__, allowed="a decoder with `.layers`"
            )
        self.model = model
        self.inner = model.base_model
        self.layers = decoder.layers
        self._crossing = cross_attention_layers(model.config)

    def states(self, inputs: Any, layers: Sequence[int]) -> dict[int, Tensor]:
        """States (b, t, d) by layer."""
        with self._recording(layers, "pixel_values" in inputs) as states:
            self.inner(**inputs, use_cache=False, return_dict=True)
        return states

    def states_and_logits(
        self, inputs: Any, layers: Sequence[int], at: list[Tensor]
    ) -> tuple[dict[int, Tensor], list[Tensor]]:
        """States by layer, and next-word logits (b, v) at each of the positions (b,) of `at`.

        The model's own forward pass makes the logits, so scaling and soft caps are in them.
        """
        import torch

        def only_these(_head: Any, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            rows = torch.arange(len(args[0]), device=args[0].device)[:, None]
            return (args[0][rows, torch.stack(at, 1).to(args[0].device)], *args[1:])

        handle = self.model.get_output_embeddings().register_forward_pre_hook(only_these)
        try:
            with self._recording(layers, "pixel_values" in inputs) as states:
                logits = self.model(**inputs, use_cache=False, return_dict=True).logits
        finally:
            handle.remove()
        return states, list(logits.unbind(1))

    @contextmanager
    def _recording(self, layers: Sequence[int], has_image: bool) -> Iterator[dict[int, Tensor]]:
        """Gives a dictionary that holds the states of these layers once the inner model has run inside."""
        places = {layer: self._place(layer, has_image) for layer in layers}
        recorded: dict[int, Tensor] = {}

        def before(_module: Any, args: Any, kwargs: Any) -> None:
            recorded[0] = args[0] if args else kwargs["hidden_states"]

        def after(place: int) -> Any:
            def hook(_module: Any, _args: Any, output: Any) -> None:
                recorded[place] = output[0] if isinstance(output, tuple) else output

            return hook

        def final(_module: Any, _args: Any, output: Any) -> None:
            # No layer's hook sees the final norm: the last entry is read from the output of the whole inner model.
            recorded[len(self.layers)] = output.last_hidden_state

        inside = set(places.values()) - {len(self.layers)}
        handles = [self.layers[place - 1].register_forward_hook(after(place)) for place in inside if place]
        handles.append(self.inner.register_forward_hook(final))
        if 0 in inside:
            handles.append(self.layers[0].register_forward_pre_hook(before, with_kwargs=True))
        states: dict[int, Tensor] = {}
        try:
            yield states
            states |= {layer: recorded[place] for layer, place in places.items()}
        finally:  # also after a failure: a hook left behind would record, and hold memory, for ever
            for handle in handles:
                handle.remove()

    def _place(self, layer: int, has_image: bool) -> int:
        """The entry of `hidden_states` that a layer's number means, or the last one before it that is computed.

        Without an image transformers does not call the layers that read one, so that their hooks never fire.
        """
        place = layer % (len(self.layers) + 1)
        while place < len(self.layers) and not has_image and place - 1 in self._crossing:
            place -= 1
        return place


def input_device(model: Any) -> Any:
    """Where inputs go: the model's device, or that of its embedding table where accelerate has spread the layers.

    Layers moved out of the GPU have no device of their own ("meta"): what counts is where they are computed.
    """
    return computed_on(model.get_input_embeddings(), model.device)


def computed_on(module: Any, otherwise: Any) -> Any:
    """The device accelerate computes a module on; `otherwise` where it is not accelerate's."""
    return getattr(getattr(module, "_hf_hook", None), "execution_device", None) or otherwise
