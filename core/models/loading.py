"""From a name to facts and to a loaded adapter.

A name is a row of the table, a local folder with a `config.json`, or a hub id. `describe` reads config files only (from the hub's
cache or the hub itself; `HF_HUB_OFFLINE` is honoured by huggingface_hub). `load_model` takes safetensors only and never runs code of
a repository. What goes wrong is one `ModelError` line.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.config import ModelSpec
from core.errors import ModelError, nearest
from core.fingerprint import canonical, hash_bytes, hash_folder
from core.models.base import Kind, ModelFacts
from core.models.table import KNOWN, KnownModel, find
from core.store import cache_root

if TYPE_CHECKING:
    from core.models.base import Adapter

ADAPTER_VERSION = 1
"""Part of every model's key: raise it where an adapter's numbers change."""

DUAL_TYPES = {"clip", "siglip", "siglip2", "metaclip_2", "altclip", "align"}
PLAIN_TYPES = {"paligemma", "chameleon"}


@dataclass(frozen=True)
class _Found:
    """Where a model is: `path` of a local folder or of the hub's snapshot of config files."""

    name: str
    source: str
    path: Path
    revision: str
    local: bool


def describe(spec: ModelSpec) -> ModelFacts:
    """Facts of a model without its weights.

    Raises:
        ModelError: unknown name, no config, gated, no network.
    """
    row = find(spec.name)
    found = _locate(spec, row)
    config = _read_config(found)
    kind = row.kind if row else kind_of(config["model_type"])
    dtype = resolve_dtype(spec.dtype)
    preset = "" if kind == "dual" else spec.preset
    weights = hash_folder(found.path, cache_root() / "weights.json") if found.local else f"{found.source}@{found.revision}"
    identity = {"weights": weights, "kind": kind, "dtype": dtype, "preset": preset, "adapter": ADAPTER_VERSION}
    return ModelFacts(
        name=found.name,
        kind=kind,
        key=hash_bytes(canonical(identity).encode())[:16],
        source=found.source,
        revision=found.revision,
        model_type=config["model_type"],
        hidden_size=_width(config, kind),
        layers=0 if kind == "dual" else int(_text_config(config).get("num_hidden_layers", 0)),
        dtype=dtype,
        preset=preset,
    )


def load_model(spec: ModelSpec) -> Adapter:
    """The model in memory, in evaluation mode, on the best device there is (`RETRIEVAL_LENS_DEVICE` overrides).

    Raises:
        ModelError: see `describe`; also weights that are not safetensors, or too little memory.
    """
    from transformers.utils import logging

    facts = describe(spec)
    _check_memory(facts)
    logging.disable_progress_bar()
    processor = _guarded(facts, lambda: _auto("AutoProcessor").from_pretrained(facts.source, **_where(facts)))
    return _adapter_class(facts, processor)(facts, _weights(facts), processor)


def kind_of(model_type: str) -> Kind:
    """Kind of an architecture that is not in the table: chat, unless its class is known to be something else."""
    return "dual" if model_type in DUAL_TYPES else "plain" if model_type in PLAIN_TYPES else "chat"


def device() -> str:
    """`RETRIEVAL_LENS_DEVICE`, else cuda, else mps, else cpu."""
    import torch

    if chosen := os.environ.get("RETRIEVAL_LENS_DEVICE"):
        return chosen
    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def resolve_dtype(dtype: str) -> str:
    """`auto`: bfloat16 on a GPU, float32 elsewhere."""
    if dtype != "auto":
        return dtype
    return "bfloat16" if device().startswith("cuda") else "float32"


def _locate(spec: ModelSpec, row: KnownModel | None) -> _Found:
    folder = row.folder if row else Path(spec.name).expanduser()
    if folder and (folder / "config.json").is_file():
        return _Found(row.name if row else folder.resolve().name, str(folder.resolve()), folder, "", True)
    if row and row.folder:
        raise ModelError(
            f"the weights of {row.name} are missing", got=row.folder, todo="reinstall, or train them: python -m core.demo.train"
        )
    if row is None and folder and folder.is_dir():
        raise ModelError("the folder holds no model", got=folder, allowed="a folder with config.json and *.safetensors")
    if row is None and spec.name.count("/") != 1:
        todo = "`retrieval-lens models` lists the rows; a hub id or a folder with config.json will do"
        raise ModelError("no such model", got=repr(spec.name), allowed=nearest(spec.name, KNOWN), todo=todo)
    hub_id = row.hub_id if row else spec.name
    config = _from_hub(hub_id, spec.revision or (row.revision if row else None) or "main")
    return _Found(row.name if row else hub_id, hub_id, config.parent, config.parent.name, False)


def _from_hub(hub_id: str, revision: str) -> Path:
    """Path of `config.json` in the hub's cache; its folder is named after the commit."""
    from huggingface_hub import errors, hf_hub_download

    try:
        return Path(hf_hub_download(hub_id, "config.json", revision=revision))
    except errors.GatedRepoError as error:
        todo = f"accept its terms at https://huggingface.co/{hub_id} and log in: hf auth login"
        raise ModelError("the repository is gated", got=hub_id, todo=todo) from error
    except errors.RevisionNotFoundError as error:
        raise ModelError(f"{hub_id} has no such revision", got=revision, todo="leave revision out, or name a commit") from error
    except errors.RepositoryNotFoundError as error:
        raise ModelError(
            "no such repository on the hub", got=hub_id, allowed=nearest(hub_id, [r.hub_id for r in KNOWN.values() if r.hub_id])
        ) from error
    except errors.LocalEntryNotFoundError as error:
        todo = f"connect, or fetch it elsewhere: hf download {hub_id}; or name a local folder"
        raise ModelError("the hub cannot be reached and the model is not in its cache", got=hub_id, todo=todo) from error
    except errors.EntryNotFoundError as error:
        raise ModelError(f"{hub_id} holds no config.json", allowed="a transformers checkpoint") from error
    except errors.HFValidationError as error:
        raise ModelError("not a hub id", got=repr(hub_id), allowed="owner/name") from error


def _read_config(found: _Found) -> dict[str, Any]:
    try:
        config = json.loads((found.path / "config.json").read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ModelError(f"config.json of {found.source} is not JSON", got=error) from error
    if "model_type" not in config:
        raise ModelError(f"config.json of {found.source} names no model_type", allowed="a transformers checkpoint")
    return config


def _text_config(config: dict[str, Any]) -> dict[str, Any]:
    return config.get("text_config") or config.get("llm_config") or config


def _width(config: dict[str, Any], kind: Kind) -> int:
    text = _text_config(config)
    names = ("projection_dim", "projection_size", "hidden_size") if kind == "dual" else ("hidden_size",)
    places = (config, text) if kind == "dual" else (text, config)
    found = next((place[name] for name in names for place in places if place.get(name)), None)
    return int(found) if found is not None else _width_by_class(config, kind)


def _width_by_class(config: dict[str, Any], kind: Kind) -> int:
    """Where the file leaves the width to the class's default."""
    from transformers import AutoConfig

    filled = AutoConfig.for_model(**config)
    return int(filled.projection_dim if hasattr(filled, "projection_dim") and kind == "dual" else filled.get_text_config().hidden_size)


def _where(facts: ModelFacts) -> dict[str, Any]:
    return {"revision": facts.revision} if facts.revision else {}


def _auto(name: str) -> Any:
    import transformers

    return getattr(transformers, name)


def _weights(facts: ModelFacts) -> Any:
    import torch

    if not facts.revision and not any(Path(facts.source).glob("*.safetensors")):
        raise ModelError("the folder holds no safetensors weights", got=facts.source, todo="save the model again with save_pretrained")
    auto = _auto("AutoModel" if facts.kind == "dual" else "AutoModelForImageTextToText")
    options = {"dtype": getattr(torch, facts.dtype), "use_safetensors": True, "trust_remote_code": False}
    model = _guarded(facts, lambda: auto.from_pretrained(facts.source, **options, **_where(facts)))
    return model.to(device()).eval()


def _guarded(facts: ModelFacts, load: Any) -> Any:
    """Run a transformers loader; its own errors become one line."""
    from safetensors import SafetensorError

    try:
        return load()
    except (OSError, ValueError, ImportError, KeyError, SafetensorError) as error:
        line = next((text.strip() for text in str(error).splitlines() if text.strip()), type(error).__name__)
        raise ModelError(f"{facts.name} cannot be loaded", got=line, todo="check the folder, the network or the hub login") from error


def _adapter_class(facts: ModelFacts, processor: Any) -> Any:
    if facts.kind == "dual":
        from core.models.dual import DualAdapter

        return DualAdapter
    if facts.kind == "plain":
        from core.models.plain import PLAIN

        return PLAIN[facts.model_type]
    if not getattr(processor, "chat_template", None):
        raise ModelError(f"{facts.name} has no chat template", got=type(processor).__name__, allowed="a chat image-text-to-text model")
    from core.models.chat import ChatAdapter

    return ChatAdapter


def _check_memory(facts: ModelFacts) -> None:
    """Refuse a model whose weights alone exceed the memory there is, before anything is fetched."""
    row = find(facts.name)
    local = sum(p.stat().st_size for p in Path(facts.source).glob("*.safetensors")) / 2**30 if not facts.revision else 0.0
    needed, free = (local or (row.memory_gib if row else 0.0)), _free_gib()
    if needed > free:
        todo = "use a larger machine, or a smaller model of `retrieval-lens models`"
        raise ModelError(
            f"{facts.name} does not fit into memory", got=f"{free:.1f} GiB free", allowed=f"{needed:.1f} GiB or more", todo=todo
        )


def _free_gib() -> float:
    import torch

    if device().startswith("cuda"):
        return torch.cuda.mem_get_info()[0] / 2**30
    if hasattr(os, "sysconf") and "SC_AVPHYS_PAGES" in os.sysconf_names:
        meminfo = Path("/proc/meminfo")
        if meminfo.is_file():
            line = next(text for text in meminfo.read_text().splitlines() if text.startswith("MemAvailable"))
            return int(line.split()[1]) / 2**20
    return float("inf")
