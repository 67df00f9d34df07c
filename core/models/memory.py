"""How much memory a model takes, and whether it is there: estimated before anything is fetched or read.

Rule (`memory_gib`): parameters x bytes, plus a fifth for activations and what the framework keeps. Bytes are 4 in
float32 and 2 in bfloat16 and float16. Quantised (8bit, 4bit) only the linear layers shrink, to 1 byte and to 0.5625 (4
bits and their scales); embedding and output tables stay at 2 bytes, taken as an eighth of all parameters (13% in
Qwen2-VL-7B: 2 x 152,064 x 3,584 of 8.29 billion).

The number of parameters comes from the table, else from the headers of the safetensors files on disk, else from the
hub's own metadata; where none of them says, nothing is checked.

A batch that does not fit all the same is halved (`embed_halving`).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from core.errors import ModelError
from core.json_text import NotJson, json_object, read_json_object
from core.models.device import free_gib

if TYPE_CHECKING:
    from core.models.base import Adapter, ModelFacts
    from core.progress import Progress
    from core.records import EmbeddingView, Item

T = TypeVar("T")

OVERHEAD = 1.2
TABLES = 1 / 8
"""Share of the parameters that quantisation leaves alone."""
LARGEST_HEADER = 100_000_000
"""Bytes that safetensors itself allows."""
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")
"""What devices say when a call does not fit into memory."""
BYTES = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0}
QUANTISED_BYTES = {"8bit": 1.0, "4bit": 0.5625}


def memory_gib(parameters: float, dtype: str, quantisation: str = "none") -> float:
    """GiB needed by that many billions of parameters (module docstring)."""
    each = BYTES[dtype]
    if quantisation != "none":
        each = TABLES * each + (1 - TABLES) * QUANTISED_BYTES[quantisation]
    return parameters * 1e9 * each * OVERHEAD / 2**30


def check_memory(facts: ModelFacts, parameters: float | None, quantisation: str, spread: bool) -> None:
    """Refuse a model that needs more memory than is free.

    Args:
        parameters: in billions; None where nobody knows.
        spread: whether accelerate may use all GPUs and the CPU's memory (`[model] device_map`).

    Raises:
        ModelError: it does not fit, and what would.
    """
    if parameters is None:
        return
    needed, free = memory_gib(parameters, facts.dtype, quantisation), free_gib(spread)
    if needed <= free:
        return
    smaller = [f'quantisation = "{q}" ({memory_gib(parameters, facts.dtype, q):.1f} GiB)' for q in ("8bit", "4bit")]
    hints = smaller if quantisation == "none" else []
    hints += ['device_map = "auto"'] if not spread else []
    todo = "a larger machine, or a smaller model of `retrieval-lens models`" + (
        f"; on a GPU also {', '.join(hints)}" if hints else ""
    )
    got = f"{free:.1f} GiB free, {parameters:.2f} billion parameters in {facts.dtype}"
    raise ModelError(f"{facts.name} does not fit into memory", got=got, allowed=f"{needed:.1f} GiB or more", todo=todo)


def stored_parameters(folder: Path) -> float | None:
    """Billions of parameters in a folder's safetensors files, from their headers; None where there are none or they
    cannot be read."""
    counts = [_header_parameters(path) for path in sorted(folder.glob("*.safetensors"))]
    if not counts or None in counts or not _complete(folder):
        return None
    return sum(count for count in counts if count is not None) / 1e9


def hub_parameters(hub_id: str, revision: str) -> float | None:
    """Billions of parameters as the hub's safetensors metadata says; None where the hub does not answer."""
    from huggingface_hub import get_safetensors_metadata
    from huggingface_hub.errors import HTTPError, NotASafetensorsRepoError, SafetensorsParsingError

    try:
        counts = get_safetensors_metadata(hub_id, revision=revision).parameter_count
    except (HTTPError, NotASafetensorsRepoError, SafetensorsParsingError, OSError):
        return None
    return sum(counts.values()) / 1e9


def shards(folder: Path) -> set[str]:
    """Names of the weight files that a folder's index names; none where it has no index.

    Raises:
        ModelError: the index is no JSON, or names no files.
    """
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return set()
    try:
        named = read_json_object(index).get("weight_map")
    except NotJson as error:
        raise ModelError(f"{index} cannot be read", got=error, todo="fetch or copy it again") from error
    if not isinstance(named, dict) or not all(isinstance(name, str) for name in named.values()):
        raise ModelError(f"{index} names no weight files", allowed="weight_map: name of a tensor -> file")
    return set(named.values())


def _header_parameters(path: Path) -> int | None:
    """Elements of all tensors; the header is a JSON behind its own length in 8 bytes."""
    try:
        with open(path, "rb") as stream:
            size = int.from_bytes(stream.read(8), "little")
            header = json_object(stream.read(size)) if size <= LARGEST_HEADER else {}
        return sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
    except (OSError, NotJson, KeyError, TypeError):
        return None


def _complete(folder: Path) -> bool:
    """Whether every shard the index names is there (a folder of the hub's cache may hold some of them)."""
    return all((folder / name).is_file() for name in shards(folder))


def tokens_that_fit(hidden_size: int, layers: int, bytes_each: float, free_gib: float) -> int:
    """Padded tokens of the largest batch whose pass is sure to fit into half of the free memory, at least 1.

    Per token and hidden dimension, besides the states of each layer read: about 16 numbers of the model's own type
    while a decoder layer works (attention's projections, an MLP of four to six times the width, the residual stream)
    and 8 in float32 while views are pooled. Half, since logits, images and the attention of some models come on top;
    what does not fit all the same is halved (`embed_halving`).

    Args:
        layers: decoder layers whose states are kept.
        bytes_each: of a number in the model's type.
    """
    per_token = hidden_size * ((layers + 16) * bytes_each + 8 * 4)
    return max(1, int(free_gib * 2**30 / 2 / per_token)) if math.isfinite(free_gib) else sys.maxsize


def embed_halving(
    adapter: Adapter,
    items: list[Item],
    views: Sequence[EmbeddingView],
    progress: Progress,
    whole: Callable[[], dict[EmbeddingView, np.ndarray]] | None = None,
) -> dict[EmbeddingView, np.ndarray]:
    """`adapter.embed`; where a batch does not fit into memory, its halves one after the other.

    Args:
        whole: embeds all items at once, prepared beforehand (`base.prepared`).

    Raises:
        ModelError: one item alone does not fit.
    """

    def embed(some: list[Item]) -> dict[EmbeddingView, np.ndarray]:
        return whole() if whole is not None and some is items else adapter.embed(some, views)

    parts = in_pieces(adapter, items, embed, progress)
    return parts[0] if len(parts) == 1 else {view: np.concatenate([part[view] for part in parts]) for view in views}


def in_pieces(adapter: Adapter, items: list[Item], call: Callable[[list[Item]], T], progress: Progress) -> list[T]:
    """`[call(items)]`; where a batch does not fit into memory, one result for each piece that does, in order.

    Raises:
        ModelError: one item alone does not fit.
    """
    try:
        return [call(items)]
    except (RuntimeError, MemoryError) as error:  # torch.OutOfMemoryError is a RuntimeError
        if not is_out_of_memory(error):
            raise
        if len(items) == 1:
            todo = "use a smaller [model] dtype, smaller images or a larger machine"
            raise ModelError(
                f"item {items[0].id!r} alone does not fit into memory",
                got=f"{adapter.lengths(items)[0]} tokens",
                todo=todo,
            ) from error
    from accelerate.utils.memory import clear_device_cache

    # Outside the handler: while `error` lives, its traceback holds the tensors that did not fit.
    clear_device_cache()
    middle = len(items) // 2
    progress.say(f"out of memory with {len(items)} items in a batch; going on with {middle}")
    return [part for half in (items[:middle], items[middle:]) for part in in_pieces(adapter, half, call, progress)]


def is_out_of_memory(error: Exception) -> bool:
    """Whether a call failed for want of memory: CUDA raises a class of its own, other devices a RuntimeError that says
    so."""
    import torch

    message = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(words in message for words in _OUT_OF_MEMORY)
