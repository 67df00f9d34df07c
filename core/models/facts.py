"""From a name to facts: what is known of a model before its weights are read.

A name is a row of the table, a local folder with a `config.json` or a `modules.json`, or a hub id. A folder or
repository with a `modules.json` is a sentence-transformers model, unless it is a row. Only config files are read, from
the folder, the hub's cache or the hub itself (`HF_HUB_OFFLINE` is honoured by huggingface_hub). A repository's code is
never run, unless it was allowed by name (`options.trusting`). What goes wrong is one `ModelError` line.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.config import ModelSpec
from core.errors import ModelError, SpecError, nearest
from core.fingerprint import canonical, hash_bytes, hash_folder
from core.models.base import Kind, ModelFacts
from core.models.device import resolve_dtype
from core.models.options import SENTENCE_OPTIONS, is_trusted, key_options
from core.models.prompts import STYLES, Frame, resolve_style
from core.models.repository import check_code, config_from_hub, file_from_hub, read_config
from core.models.sentence_files import MODULES, SentenceModules, read_modules
from core.models.table import KNOWN, KnownModel, find
from core.store import cache_root

ADAPTER_VERSION = 2
"""Part of every model's key: raise it where an adapter's numbers change."""

DUAL_TYPES = {"clip", "siglip", "siglip2", "metaclip_2", "altclip", "chinese_clip", "blip"}
"""Architectures whose class projects texts and images by `get_text_features` and `get_image_features` and sees images
as patches."""

PLAIN_TYPES = {"paligemma", "chameleon"}


@dataclass(frozen=True)
class Location:
    """Where a model is: `path` of a local folder or of the hub's snapshot of config files."""

    name: str
    source: str
    path: Path
    revision: str
    local: bool
    modular: bool = False
    """Whether it is a sentence-transformers model."""

    def file(self, name: str) -> Path | None:
        """A small file by its relative name; None where there is none."""
        path = self.path / name
        return path if path.is_file() else None if self.local else file_from_hub(self.source, self.revision, name)


def describe(spec: ModelSpec) -> ModelFacts:
    """Facts of a model without its weights.

    Raises:
        ModelError: unknown name, no config, gated, no network, an architecture that needs code of its own.
        SpecError: prompts that are not known, or not made for this kind of model.
    """
    return facts_of(spec, *located(spec))


def kind_of(model_type: str) -> Kind:
    """Kind of an architecture that is not in the table: chat, unless its class is known to be something else."""
    return "dual" if model_type in DUAL_TYPES else "plain" if model_type in PLAIN_TYPES else "chat"


def check_kind(model_type: str, source: str) -> None:
    """Refuse an architecture of transformers that reads no images, or reads them in a way no adapter knows.

    Raises:
        ModelError: and the kinds there are.
    """
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    chat = kind_of(model_type) == "chat" and model_type in CONFIG_MAPPING_NAMES
    if chat and model_type not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        allowed = f"an image-text-to-text model, or a dual encoder of the kinds {', '.join(sorted(DUAL_TYPES))}"
        raise ModelError(
            "no adapter for this architecture", got=f"model_type {model_type!r} of {source}", allowed=allowed
        )


def located(spec: ModelSpec) -> tuple[Location, dict[str, Any]]:
    """Where a model is, and its config.

    Raises:
        ModelError: see `describe`.
    """
    location = _locate(spec, find(spec.name))
    if location.modular:
        return location, {}
    config = read_config(location.path, location.source)
    check_code(config, location.source, is_trusted(location.source))
    check_kind(config["model_type"], location.source)
    return location, config


def facts_of(spec: ModelSpec, location: Location, config: dict[str, Any]) -> ModelFacts:
    """Facts of a model that was located."""
    if location.modular:
        return _sentence_facts(spec, location)
    if given := [name for name in SENTENCE_OPTIONS if getattr(spec, name) is not None]:
        what = f"{location.name} is no sentence-transformers model"
        raise SpecError(what, got=f"model.{given[0]}", todo=f"leave model.{given[0]} out")
    row = find(spec.name)
    kind = row.kind if row else kind_of(config["model_type"])
    dtype = resolve_dtype(spec.dtype)
    preset = "" if kind == "dual" else _style(spec, row, location.name, kind)
    identity = {
        "weights": _weights_key(location),
        "kind": kind,
        "dtype": dtype,
        "preset": preset,
        "adapter": ADAPTER_VERSION,
    } | key_options(spec)
    return ModelFacts(
        name=location.name,
        kind=kind,
        key=hash_bytes(canonical(identity).encode())[:16],
        source=location.source,
        revision=location.revision,
        model_type=config["model_type"],
        hidden_size=_width(config, kind),
        layers=0 if kind == "dual" else int(_text_config(config).get("num_hidden_layers", 0)),
        dtype=dtype,
        preset=preset,
        pooling="projected" if kind == "dual" else STYLES[preset].pooling,
    )


def _weights_key(location: Location) -> str:
    """What stands for the weights in a key: the hash of a folder, or the hub id and commit."""
    if location.local:
        return hash_folder(location.path, cache_root() / "weights.json")
    return f"{location.source}@{location.revision}"


def modules_of(location: Location) -> SentenceModules:
    """The modules of a sentence-transformers model.

    Raises:
        ModelError: see `read_modules`.
    """
    return read_modules(location.file, location.source, is_trusted(location.source))


def _sentence_facts(spec: ModelSpec, location: Location) -> ModelFacts:
    """Facts of a sentence-transformers model, which brings its own prompts and pooling.

    Raises:
        SpecError: a style of prompts. ModelError: see `read_modules`.
    """
    if spec.preset not in {"auto", "own"}:
        todo = "leave preset out; query_prompt and candidate_prompt replace the model's own words"
        got = f'model.preset = "{spec.preset}"'
        raise SpecError(f"{location.name} brings its own prompts", got=got, allowed="'auto' or 'own'", todo=todo)
    modules, dtype = modules_of(location), resolve_dtype(spec.dtype)
    identity = {
        "weights": _weights_key(location),
        "kind": "sentence-transformers",
        "dtype": dtype,
        "adapter": ADAPTER_VERSION,
    } | key_options(spec)
    width, kept = modules.hidden_size, spec.truncate_dim or modules.truncate_dim
    if spec.truncate_dim and width and spec.truncate_dim > width:
        got = f"model.truncate_dim = {spec.truncate_dim}"
        raise SpecError(f"{location.name} has fewer columns", got=got, allowed=f"1 to {width}")
    hidden_size = min(width, kept) if kept else width
    return ModelFacts(
        name=location.name,
        kind="sentence-transformers",
        key=hash_bytes(canonical(identity).encode())[:16],
        source=location.source,
        revision=location.revision,
        model_type=modules.model_type,
        hidden_size=hidden_size,
        layers=modules.layers,
        dtype=dtype,
        preset="",
        pooling="projected",
        state_size=modules.state_size if modules.state_size != hidden_size else 0,
    )


def _locate(spec: ModelSpec, row: KnownModel | None) -> Location:
    """Where a model is: a row of the table first, then a local folder, then the hub."""
    folder = row.folder if row else Path(spec.name).expanduser()
    # What sentence-transformers saved may also hold a transformers checkpoint: its modules say what an embedding is.
    modular = row is None and folder is not None and (folder / MODULES).is_file()
    if folder and (modular or (folder / "config.json").is_file()):
        if spec.revision is not None:
            todo = "leave revision out, or name the model by its hub id"
            raise ModelError(
                "weights in a folder have no revisions", got=f"model.revision = {spec.revision!r}", todo=todo
            )
        name = row.name if row else folder.resolve().name
        return Location(name, str(folder.resolve()), folder, "", True, modular)
    if row and row.folder:
        raise ModelError(
            f"the weights of {row.name} are missing",
            got=row.folder,
            todo="reinstall, or train them: python -m core.demo.train",
        )
    if row is None and folder and folder.is_dir():
        raise ModelError(
            "the folder holds no model",
            got=folder,
            allowed="a folder with config.json or modules.json, and *.safetensors",
        )
    if row is None and spec.name.count("/") != 1:
        todo = "`retrieval-lens models` lists the rows; a hub id or a folder with config.json will do"
        raise ModelError("no such model", got=repr(spec.name), allowed=nearest(spec.name, KNOWN), todo=todo)
    hub_id = row.hub_id if row else spec.name
    revision = spec.revision or (row.revision if row else None) or "main"
    by_library = row.kind == "sentence-transformers" if row else True
    if by_library and (modules := file_from_hub(hub_id, revision, MODULES)):
        return Location(row.name if row else hub_id, hub_id, modules.parent, modules.parent.name, False, True)
    config = config_from_hub(hub_id, revision)
    return Location(row.name if row else hub_id, hub_id, config.parent, config.parent.name, False)


def _style(spec: ModelSpec, row: KnownModel | None, name: str, kind: Kind) -> str:
    """The style of the prompts as resolved; a plain model takes none that needs turns."""
    style = resolve_style(spec.preset, row.prompts if row else None, name)
    if kind == "plain" and STYLES[style].frame != Frame():
        raise SpecError(f"{name} takes no turns", got=f'model.preset = "{spec.preset}"', allowed="'study' or 'chat'")
    return style


def _text_config(config: dict[str, Any]) -> dict[str, Any]:
    """The part of a config that describes the decoder."""
    return config.get("text_config") or config.get("llm_config") or config


def _width(config: dict[str, Any], kind: Kind) -> int:
    """d: columns of an embedding, as the config says; each kind keeps it under other names."""
    text = _text_config(config)
    names = ("projection_dim", "projection_size", "hidden_size") if kind == "dual" else ("hidden_size",)
    places = (config, text) if kind == "dual" else (text, config)
    width = next((place[name] for name in names for place in places if place.get(name)), None)
    return int(width) if width is not None else _width_by_class(config, kind)


def _width_by_class(config: dict[str, Any], kind: Kind) -> int:
    """Where the file leaves the width to the class's default."""
    from transformers import AutoConfig

    filled = AutoConfig.for_model(**config)
    return int(
        filled.projection_dim
        if hasattr(filled, "projection_dim") and kind == "dual"
        else filled.get_text_config().hidden_size
    )
