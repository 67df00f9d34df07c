"""From a name to facts and to a loaded adapter.

A name is a row of the table, a local folder with a `config.json`, or a hub id. `describe` reads config files only (from
the hub's cache or the hub itself; `HF_HUB_OFFLINE` is honoured by huggingface_hub). `check_model` says what will not
work before hours are spent, `check_processor` the same of the small files beside the weights. `load_model` takes
safetensors only and never runs code of a repository, unless it was allowed by name (`options.trusting`). What goes
wrong is one `ModelError` line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.config import ModelSpec
from core.errors import ModelError, SpecError, nearest
from core.fingerprint import canonical, hash_bytes, hash_folder
from core.models.base import Kind, ModelFacts
from core.models.device import device, resolve_dtype
from core.models.memory import check_memory, hub_parameters, stored_parameters
from core.models.options import check_options, is_trusted, key_options, loading_options
from core.models.prompts import STYLES, Frame, resolve_style
from core.models.repository import check_code, check_weights, config_from_hub, first_line, read_config
from core.models.table import KNOWN, KnownModel, find
from core.store import cache_root

if TYPE_CHECKING:
    from core.models.base import Adapter

ADAPTER_VERSION = 2
"""Part of every model's key: raise it where an adapter's numbers change."""

DUAL_TYPES = {"clip", "siglip", "siglip2", "metaclip_2", "altclip", "chinese_clip", "blip"}
"""Architectures whose class projects texts and images by `get_text_features` and `get_image_features` and sees images
as patches."""

PLAIN_TYPES = {"paligemma", "chameleon"}


@dataclass(frozen=True)
class _Location:
    """Where a model is: `path` of a local folder or of the hub's snapshot of config files."""

    name: str
    source: str
    path: Path
    revision: str
    local: bool


def describe(spec: ModelSpec) -> ModelFacts:
    """Facts of a model without its weights.

    Raises:
        ModelError: unknown name, no config, gated, no network, an architecture that needs code of its own.
        SpecError: prompts that are not known, or not made for this kind of model.
    """
    return _facts(spec, *_located(spec))


def check_model(spec: ModelSpec) -> ModelFacts:
    """Facts of a model that can be loaded here, as far as that can be known before its weights are fetched.

    Raises:
        ModelError: see `describe`; also options this machine cannot serve, weights that are not safetensors, too little
            memory.
    """
    check_options(spec)
    location, config = _located(spec)
    facts = _facts(spec, location, config)
    check_weights(location.source, location.revision, location.path)
    row = find(spec.name)
    known = row.parameters if row else stored_parameters(location.path)
    if known is None and not location.local:
        known = hub_parameters(location.source, location.revision)
    check_memory(facts, known, spec.quantisation, spec.device_map != "none")
    return facts


def check_processor(spec: ModelSpec) -> None:
    """Read what lies beside the weights, as `load_model` will: processor, tokenizer, chat template (fetched where they
    are on the hub).

    Raises:
        ModelError: one of them is missing or cannot be read.
    """
    facts = describe(spec)
    _adapter_class(facts, _processor(facts))


def load_model(spec: ModelSpec) -> Adapter:
    """The model in memory, in evaluation mode, on the best device there is (`RETRIEVAL_LENS_DEVICE` overrides).

    Raises:
        ModelError: see `check_model`; also weights or processor files that cannot be read.
    """
    from transformers.utils import logging

    facts = check_model(spec)
    logging.disable_progress_bar()
    processor = _processor(facts)
    adapter = _adapter_class(facts, processor)
    model = _weights(facts, spec)
    _complete(processor, model.config)
    return adapter(facts, model, processor)


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


# Finding
# -----------------------------------------------------------------------------------------------------------------


def _located(spec: ModelSpec) -> tuple[_Location, dict[str, Any]]:
    location = _locate(spec, find(spec.name))
    config = read_config(location.path, location.source)
    check_code(config, location.source, is_trusted(location.source))
    check_kind(config["model_type"], location.source)
    return location, config


def _facts(spec: ModelSpec, location: _Location, config: dict[str, Any]) -> ModelFacts:
    row = find(spec.name)
    kind = row.kind if row else kind_of(config["model_type"])
    dtype = resolve_dtype(spec.dtype)
    preset = "" if kind == "dual" else _style(spec, row, location.name, kind)
    if location.local:
        weights = hash_folder(location.path, cache_root() / "weights.json")
    else:
        weights = f"{location.source}@{location.revision}"
    identity = {
        "weights": weights,
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


def _locate(spec: ModelSpec, row: KnownModel | None) -> _Location:
    folder = row.folder if row else Path(spec.name).expanduser()
    if folder and (folder / "config.json").is_file():
        if spec.revision is not None:
            todo = "leave revision out, or name the model by its hub id"
            raise ModelError(
                "weights in a folder have no revisions", got=f"model.revision = {spec.revision!r}", todo=todo
            )
        return _Location(row.name if row else folder.resolve().name, str(folder.resolve()), folder, "", True)
    if row and row.folder:
        raise ModelError(
            f"the weights of {row.name} are missing",
            got=row.folder,
            todo="reinstall, or train them: python -m core.demo.train",
        )
    if row is None and folder and folder.is_dir():
        raise ModelError("the folder holds no model", got=folder, allowed="a folder with config.json and *.safetensors")
    if row is None and spec.name.count("/") != 1:
        todo = "`retrieval-lens models` lists the rows; a hub id or a folder with config.json will do"
        raise ModelError("no such model", got=repr(spec.name), allowed=nearest(spec.name, KNOWN), todo=todo)
    hub_id = row.hub_id if row else spec.name
    config = config_from_hub(hub_id, spec.revision or (row.revision if row else None) or "main")
    return _Location(row.name if row else hub_id, hub_id, config.parent, config.parent.name, False)


def _style(spec: ModelSpec, row: KnownModel | None, name: str, kind: Kind) -> str:
    style = resolve_style(spec.preset, row.prompts if row else None, name)
    if kind == "plain" and STYLES[style].frame != Frame():
        raise SpecError(f"{name} takes no turns", got=f'model.preset = "{spec.preset}"', allowed="'study' or 'chat'")
    return style


def _text_config(config: dict[str, Any]) -> dict[str, Any]:
    return config.get("text_config") or config.get("llm_config") or config


def _width(config: dict[str, Any], kind: Kind) -> int:
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


# Loading
# -----------------------------------------------------------------------------------------------------------------


def _where(facts: ModelFacts) -> dict[str, Any]:
    return {"trust_remote_code": is_trusted(facts.source)} | ({"revision": facts.revision} if facts.revision else {})


def _auto(name: str) -> Any:
    import transformers

    return getattr(transformers, name)


def _processor(facts: ModelFacts) -> Any:
    """The processor; images between the smallest and largest area the prompts' style asks for, where the class "
    "has such limits."""
    processor = _guarded(facts, lambda: _auto("AutoProcessor").from_pretrained(facts.source, **_where(facts)))
    _check_tokenizer(facts, getattr(processor, "tokenizer", None))
    pixels = STYLES[facts.preset].pixels if facts.preset else None
    if pixels and "longest_edge" in dict(getattr(processor.image_processor, "size", {})):
        size = dict(zip(("shortest_edge", "longest_edge"), pixels, strict=True))
        processor.image_processor = type(processor.image_processor).from_pretrained(
            facts.source, size=size, **_where(facts)
        )
    return processor


def _check_tokenizer(facts: ModelFacts, tokenizer: Any) -> None:
    """Where its files are missing, transformers makes a tokenizer of special tokens alone, and says nothing."""
    if tokenizer is None or len(tokenizer) <= len(tokenizer.get_added_vocab()):
        got = "special tokens only" if tokenizer is not None else "none"
        todo = "copy tokenizer.json and tokenizer_config.json of the original beside the weights"
        raise ModelError(
            f"{facts.name} comes without a tokenizer", got=got, allowed="a processor with a vocabulary", todo=todo
        )


def _complete(processor: Any, config: Any) -> None:
    """What LLaVA processors saved before transformers 4.45 (E5-V's) leave out, from the model's own config."""
    vision = getattr(config, "vision_config", None)
    if getattr(processor, "patch_size", 0) is None and vision is not None:
        processor.patch_size = vision.patch_size
        processor.num_additional_image_tokens = 1 if vision.model_type == "clip_vision_model" else 0  # its class token
    if getattr(processor, "vision_feature_select_strategy", "") is None:
        processor.vision_feature_select_strategy = config.vision_feature_select_strategy


def _weights(facts: ModelFacts, spec: ModelSpec) -> Any:
    auto = _auto("AutoModel" if facts.kind == "dual" else "AutoModelForImageTextToText")
    options = loading_options(spec, facts.dtype)
    model, report = _guarded(
        facts, lambda: auto.from_pretrained(facts.source, **options, **_where(facts), output_loading_info=True)
    )
    if missing := sorted(report["missing_keys"]):
        what = f"the checkpoint of {facts.name} lacks weights, which would be random"
        raise ModelError(
            what,
            got=", ".join(missing[:3]),
            allowed=f"a whole {type(model).__name__}",
            todo="choose another checkpoint",
        )
    return (model if "device_map" in options else model.to(device())).eval()


def _guarded(facts: ModelFacts, load: Callable[[], Any]) -> Any:
    """Run a transformers loader, which keeps its warnings to itself; its own errors become one line."""
    from safetensors import SafetensorError
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        return load()
    except (OSError, ValueError, ImportError, KeyError, SafetensorError) as error:
        todo = "check the folder, the network or the hub login"
        raise ModelError(f"{facts.name} cannot be loaded", got=first_line(error), todo=todo) from error
    finally:
        logging.set_verbosity(before)


def _adapter_class(facts: ModelFacts, processor: Any) -> Any:
    if facts.kind == "dual":
        from core.models.dual import DualAdapter

        return DualAdapter
    if facts.kind == "plain":
        from core.models.plain import PLAIN

        return PLAIN[facts.model_type]
    if not getattr(processor, "chat_template", None) and STYLES[facts.preset].frame.written is None:
        raise ModelError(
            f"{facts.name} has no chat template",
            got=type(processor).__name__,
            allowed="a chat image-text-to-text model",
        )
    from core.models.chat import ChatAdapter

    return ChatAdapter
