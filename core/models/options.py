"""How a model is loaded: device, compute type, attention kernel, placement of layers, quantisation, and whether its own
code may run.

Options that this machine cannot serve are refused before anything is fetched.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from core.config import ModelSpec
from core.errors import ModelError
from core.models.device import device, resolve_dtype
from core.models.table import find

SENTENCE_OPTIONS = ("truncate_dim", "query_prompt", "candidate_prompt", "task")
"""Keys of `[model]` that only a sentence-transformers model takes."""

_TRUSTED: ContextVar[str | None] = ContextVar("trusted", default=None)


def check_options(spec: ModelSpec) -> None:
    """Refuse what this machine cannot do.

    Raises:
        ModelError: Flash Attention or bitsandbytes without their package, without a CUDA GPU, or in a type they do not
            compute in.
    """
    if spec.attention == "flash_attention_2":
        _check_flash(resolve_dtype(spec.dtype))
    if spec.quantisation != "none":
        _check_quantisation(spec.quantisation)


def _check_flash(dtype: str) -> None:
    """Refuse flash attention without its package or a GPU."""
    from transformers.utils import is_flash_attn_2_available

    got = 'model.attention = "flash_attention_2"'
    if not is_flash_attn_2_available():
        todo = 'pip install flash-attn, on a machine with a CUDA GPU; or attention = "sdpa"'
        raise ModelError(
            "Flash Attention 2 is not there", got=got, allowed="the package flash-attn and a CUDA GPU", todo=todo
        )
    if dtype == "float32":
        todo = 'dtype = "bfloat16", or attention = "sdpa"'
        raise ModelError(
            "Flash Attention 2 does not compute in float32", got=got, allowed="bfloat16 or float16", todo=todo
        )


def _check_quantisation(quantisation: str) -> None:
    """Refuse quantised weights without bitsandbytes or a CUDA GPU."""
    from transformers.utils import is_bitsandbytes_available

    got = f'model.quantisation = "{quantisation}"'
    if not is_bitsandbytes_available():
        raise ModelError(
            "bitsandbytes is not installed", got=got, todo="pip install bitsandbytes, or leave quantisation out"
        )
    if not device().startswith("cuda"):
        raise ModelError(
            "quantised weights need a CUDA GPU",
            got=f"{got} on {device()}",
            todo="leave quantisation out, or use another machine",
        )


def key_options(spec: ModelSpec) -> dict[str, str | int | None]:
    """Options that change an embedding, for the model's key. Those at their default are left out: a key that was made
    before an option existed stays valid."""
    chosen: dict[str, tuple[str | int | None, str | None]] = {
        "attention": (spec.attention, "auto"),
        "quantisation": (spec.quantisation, "none"),
    }
    chosen |= {name: (getattr(spec, name), None) for name in SENTENCE_OPTIONS}
    return {name: value for name, (value, default) in chosen.items() if value != default}


def loading_options(spec: ModelSpec, dtype: str) -> dict[str, Any]:
    """Arguments of `from_pretrained`: safetensors only, type, kernel, placement, quantisation."""
    import torch

    options: dict[str, Any] = {"dtype": getattr(torch, dtype), "use_safetensors": True}
    if spec.attention != "auto":
        options["attn_implementation"] = spec.attention
    if spec.quantisation != "none":
        options["quantization_config"] = _bitsandbytes(spec.quantisation, getattr(torch, dtype))
        options["device_map"] = {"": device()}  # bitsandbytes converts while it loads and cannot be moved afterwards
    if spec.device_map != "none":
        options["device_map"] = spec.device_map
    return options


def _bitsandbytes(quantisation: str, dtype: Any) -> Any:
    """The settings bitsandbytes converts the weights with."""
    from transformers import BitsAndBytesConfig

    if quantisation == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )  # fmt: skip


# Code of a repository
# ----------------------------------------------------------------------------------------------------


@contextmanager
def trusting(name: str | None) -> Iterator[None]:
    """Let the code of one hub id or folder run inside the block. No repository's code runs outside of one."""
    token = _TRUSTED.set(name)
    try:
        yield
    finally:
        _TRUSTED.reset(token)


def is_trusted(source: str) -> bool:
    """Whether the code of that hub id or folder may run: it was named exactly so."""
    named = _TRUSTED.get()
    return named is not None and named in {source, str(Path(source))}


def trusted() -> str | None:
    """The hub id or folder whose code may run, to be handed to another process; None for none."""
    return _TRUSTED.get()


def trusted_source(spec: ModelSpec, name: str) -> str:
    """`name`, if it is the hub id or the folder of the spec's model.

    Raises:
        ModelError: it names something else.
    """
    row = find(spec.name)
    source = row.hub_id if row else spec.name
    folder = Path(name).expanduser()
    if name == source:
        return str(folder.resolve()) if folder.is_dir() else source
    if folder.is_dir() and folder.resolve() == Path(source).expanduser().resolve():
        return str(folder.resolve())
    raise ModelError(
        "this is not the model of the spec",
        got=f"--trust-remote-code {name}",
        allowed=source or "nothing: its weights are shipped with us",
    )
