"""What a sentence-transformers model is, from its small files: `modules.json`, and a config per module.

In: a folder, or a hub id at a commit. Out: its modules, the transformers config inside, the width of its embeddings and
of its token states. No weights are read. What gives several vectors per item, sparse ones, or scores of pairs is
refused here, and so is a module whose code is not the library's own, unless it was allowed by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import ModelError
from core.json_text import NotJson, json_value, read_json_object
from core.models.repository import check_code

MODULES = "modules.json"
"""The file that makes a folder or repository one of this kind."""
LIBRARY = "sentence_transformers."
OTHER_CLASSES = {
    "SparseEncoder": "gives sparse vectors",
    "MultiVectorEncoder": "gives several vectors per item",
    "CrossEncoder": "scores pairs and embeds nothing",
}
"""Classes of the library that are no embedding model of one vector per item, and why."""
OTHER_MODULES = {
    "sentence_transformers.sparse_encoder.": "gives sparse vectors",
    "sentence_transformers.multi_vector_encoder.": "gives several vectors per item",
    "pylate.": "gives several vectors per item",
    "sentence_transformers.cross_encoder.": "scores pairs and embeds nothing",
}
"""The same by where their modules are defined."""

Files = Callable[[str], Path | None]
"""Gives the file of that relative name; None where there is none."""


@dataclass(frozen=True)
class SentenceModules:
    """A sentence-transformers model without its weights.

    Attributes:
        names: class of each module, in order.
        folders: folder of each module, relative; "" for the model's own.
        model_type: transformers' name of the architecture inside; "" where there is none.
        hidden_size: columns of an embedding, before truncation.
        state_size: columns of a token state; 0 where none can be read.
        layers: layers of the model inside whose states can be read; 0 where none can.
        truncate_dim: columns it keeps by itself; None for all.
    """

    names: tuple[str, ...]
    folders: tuple[str, ...]
    model_type: str
    hidden_size: int
    state_size: int
    layers: int
    truncate_dim: int | None


def read_modules(files: Files, source: str, trusted: bool) -> SentenceModules:
    """What the files say.

    Raises:
        ModelError: another class of the library, code of the repository's own that was not allowed, or files that
            cannot be read.
    """
    listed = _modules(files, source)
    kinds = [str(module["type"]) for module in listed]
    saved = _config(files, "config_sentence_transformers.json", source)
    _check_class(saved, kinds, source)
    if own := [kind for kind in kinds if not kind.startswith(LIBRARY)]:
        _check_trusted(own, source, trusted)
    folders = tuple(str(module.get("path", "")).strip("/") for module in listed)
    names = tuple(kind.rpartition(".")[2] for kind in kinds)
    config = _transformers_config(files, folders[0], source)
    if config:
        check_code(config, source, trusted)
    state_size = _state_size(config)
    pools = "Pooling" in names
    width = (_projection(config) or state_size) if not pools else state_size
    for name, folder in zip(names, folders, strict=True):
        width = _width_behind(name, _config(files, _join(folder, "config.json"), source), width)
    if names[0] == "StaticEmbedding":
        width = _table_width(files, folders[0], source)
    if not width:
        raise ModelError(
            f"{source} does not say how wide its embeddings are", got=", ".join(names), allowed="modules of the library"
        )
    text = config.get("text_config") or config
    layers = int(text.get("num_hidden_layers") or text.get("n_layers") or 0) if pools else 0
    return SentenceModules(
        names=names,
        folders=folders,
        model_type=str(config.get("model_type", "")),
        hidden_size=width,
        state_size=state_size if layers else 0,
        layers=layers,
        truncate_dim=saved.get("truncate_dim"),
    )


def _modules(files: Files, source: str) -> list[dict[str, Any]]:
    """The entries of `modules.json`."""
    path = files(MODULES)
    try:
        listed = json_value(path.read_bytes()) if path else None
    except NotJson as error:
        raise ModelError(f"{MODULES} of {source} is not JSON", got=error, todo="fetch or copy it again") from error
    if not isinstance(listed, list) or not listed or not all(isinstance(m, dict) and "type" in m for m in listed):
        raise ModelError(
            f"{MODULES} of {source} lists no modules", allowed="what sentence-transformers saves", todo="save it again"
        )
    if bad := [m["path"] for m in listed if ".." in Path(str(m.get("path", ""))).parts]:
        raise ModelError(f"{MODULES} of {source} leads out of its folder", got=bad[0], allowed="a folder within")
    return listed


def _check_class(saved: dict[str, Any], kinds: list[str], source: str) -> None:
    """Refuse what is no model of one dense vector per item."""
    named = str(saved.get("model_type", ""))
    by_module = next((why for kind in kinds for start, why in OTHER_MODULES.items() if kind.startswith(start)), "")
    if why := OTHER_CLASSES.get(named, by_module):
        raise ModelError(
            f"{source} {why}",
            got=named or next(kind for kind in kinds if any(kind.startswith(start) for start in OTHER_MODULES)),
            allowed="a SentenceTransformer: one dense vector per item",
            todo='choose another model, or bring vectors of your own ([corpus] source = "embeddings")',
        )


def _check_trusted(own: list[str], source: str, trusted: bool) -> None:
    """Refuse modules whose code is the repository's own, or another package's, unless it was allowed by name."""
    if not trusted:
        raise ModelError(
            "this model needs code from its own repository, which is not run",
            got=f"module {own[0]} of {source}",
            todo=f"read that code; if you trust it: retrieval-lens run SPEC --trust-remote-code {source}",
        )


def _config(files: Files, name: str, source: str) -> dict[str, Any]:
    """A JSON object; {} where there is no such file."""
    path = files(name)
    try:
        return read_json_object(path) if path else {}
    except NotJson as error:
        raise ModelError(f"{name} of {source} is not JSON", got=error, todo="fetch or copy it again") from error


def _transformers_config(files: Files, folder: str, source: str) -> dict[str, Any]:
    """The config of the transformers model in the first module; {} where it holds none."""
    config = _config(files, _join(folder, "config.json"), source)
    return config if "model_type" in config else {}


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _state_size(config: dict[str, Any]) -> int:
    """d of the token states of a transformers config; 0 where it does not say."""
    text = config.get("text_config") or {}
    return int(text.get("hidden_size") or config.get("hidden_size") or config.get("dim") or 0)


def _projection(config: dict[str, Any]) -> int:
    """Columns a dual encoder projects to; 0 for other models."""
    text = config.get("text_config") or {}
    return int(config.get("projection_dim") or text.get("projection_size") or 0)


def _width_behind(name: str, config: dict[str, Any], width: int) -> int:
    """Columns that leave a module which `width` columns enter."""
    if name == "Pooling":
        mode = config.get("pooling_mode")
        older = sum(bool(value) for key, value in config.items() if key.startswith("pooling_mode_"))
        modes = len(mode) if isinstance(mode, list) else 1 if mode else max(older, 1)
        return modes * int(config.get("embedding_dimension") or config.get("word_embedding_dimension") or width)
    if name == "Dense":
        return int(config.get("out_features") or width)
    return width


def _table_width(files: Files, folder: str, source: str) -> int:
    """Columns of a table of word vectors, which has no config: from the header of its weights."""
    from safetensors import SafetensorError, safe_open

    path = files(_join(folder, "model.safetensors"))
    if path is None:
        return 0
    try:
        with safe_open(path, framework="numpy") as tensors:
            return int(tensors.get_slice("embedding.weight").get_shape()[1])
    except SafetensorError as error:
        raise ModelError(
            f"the weights of {source} cannot be read", got=error, todo="fetch or copy them again"
        ) from error
