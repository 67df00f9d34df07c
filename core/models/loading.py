"""From facts to a loaded adapter.

`check_model` says what will not work before hours are spent, `check_processor` the same of the small files beside the
weights. `load_model` takes safetensors only. What goes wrong is one `ModelError` line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.config import ModelSpec
from core.errors import ModelError
from core.models.answer import check_template
from core.models.base import ModelFacts
from core.models.device import device
from core.models.facts import describe, facts_of, located, modules_of
from core.models.memory import check_memory, hub_parameters, stored_parameters
from core.models.options import check_options, is_trusted, loading_options
from core.models.prompts import STYLES
from core.models.repository import check_module_weights, check_weights, first_line
from core.models.table import find

if TYPE_CHECKING:
    from core.models.base import Adapter


def check_model(spec: ModelSpec) -> ModelFacts:
    """Facts of a model that can be loaded here, as far as that can be known before its weights are fetched.

    Raises:
        ModelError: see `describe`; also options this machine cannot serve, weights that are not safetensors, too little
            memory.
    """
    check_options(spec)
    location, config = located(spec)
    facts = facts_of(spec, location, config)
    row, folders = find(spec.name), [""]
    if location.modular:
        folders = list(dict.fromkeys(modules_of(location).folders))
        check_module_weights(location.source, location.revision, location.path, folders)
    else:
        check_weights(location.source, location.revision, location.path)
    known = row.parameters if row else _stored(location.path, folders)
    if known is None and not location.local:
        known = hub_parameters(location.source, location.revision)
    check_memory(facts, known, spec.quantisation, spec.device_map != "none")
    return facts


def _stored(folder: Path, folders: Sequence[str]) -> float | None:
    """Billions of parameters in the weight files of a folder and of its modules' folders; None where there are none."""
    counts = [count for own in folders if (count := stored_parameters(folder / own)) is not None]
    return sum(counts) if counts else None


def check_processor(spec: ModelSpec, answers: bool = False) -> None:
    """Read what lies beside the weights, as `load_model` will: processor, tokenizer, chat template (fetched where they
    are on the hub).

    Args:
        answers: whether the model is to be read where it answers.

    Raises:
        ModelError: one of them is missing or cannot be read.
        NotAvailable: the chat template has no answer header, and one is needed.
    """
    facts = describe(spec)
    if facts.kind == "sentence-transformers":
        return  # its modules read their own files while they are loaded
    processor = _processor(facts)
    _adapter_class(facts, processor)
    if answers:
        check_template(facts, processor)


def load_model(spec: ModelSpec) -> Adapter:
    """The model in memory, in evaluation mode, on the best device there is (`RETRIEVAL_LENS_DEVICE` overrides).

    Raises:
        ModelError: see `check_model`; also weights or processor files that cannot be read.
    """
    from transformers.utils import logging

    facts = check_model(spec)
    logging.disable_progress_bar()
    if facts.kind == "sentence-transformers":
        return _sentence_adapter(facts, spec)
    processor = _processor(facts)
    adapter = _adapter_class(facts, processor)
    model = _weights(facts, spec)
    _complete(processor, model.config)
    return adapter(facts, model, processor)


def _sentence_adapter(facts: ModelFacts, spec: ModelSpec) -> Adapter:
    """A sentence-transformers model behind its adapter; safetensors only, as everywhere."""
    from core.models.sentence import SentenceAdapter
    from core.models.sentence_library import load_sentence_transformer

    options = loading_options(spec, facts.dtype)
    model = _guarded(facts, lambda: load_sentence_transformer(facts, spec, options, is_trusted(facts.source)))
    return SentenceAdapter(facts, model, spec)


def _origin(facts: ModelFacts) -> dict[str, Any]:
    """Arguments of every `from_pretrained`: the pinned commit, and whether the repository's code may run."""
    return {"trust_remote_code": is_trusted(facts.source)} | ({"revision": facts.revision} if facts.revision else {})


def _processor(facts: ModelFacts) -> Any:
    """The processor. Where its class has limits on the area of an image, they are those of the prompts' style."""
    from transformers import AutoProcessor

    processor = _guarded(facts, lambda: AutoProcessor.from_pretrained(facts.source, **_origin(facts)))
    _check_tokenizer(facts, getattr(processor, "tokenizer", None))
    pixels = STYLES[facts.preset].pixels if facts.preset else None
    if pixels and "longest_edge" in dict(getattr(processor.image_processor, "size", {})):
        size = dict(zip(("shortest_edge", "longest_edge"), pixels, strict=True))
        processor.image_processor = type(processor.image_processor).from_pretrained(
            facts.source, size=size, **_origin(facts)
        )
    return processor


def _check_tokenizer(facts: ModelFacts, tokenizer: Any) -> None:
    """Refuse an empty tokenizer: where its files are missing, transformers makes one of special tokens, silently."""
    if tokenizer is None or len(tokenizer) <= len(tokenizer.get_added_vocab()):
        got = "special tokens only" if tokenizer is not None else "none"
        todo = "copy tokenizer.json and tokenizer_config.json of the original beside the weights"
        raise ModelError(
            f"{facts.name} comes without a tokenizer", got=got, allowed="a processor with a vocabulary", todo=todo
        )


def _complete(processor: Any, config: Any) -> None:
    """Fill in what LLaVA processors saved before transformers 4.45 (E5-V's) leave out, from the model's config."""
    vision = getattr(config, "vision_config", None)
    if getattr(processor, "patch_size", 0) is None and vision is not None:
        processor.patch_size = vision.patch_size
        processor.num_additional_image_tokens = 1 if vision.model_type == "clip_vision_model" else 0  # its class token
    if getattr(processor, "vision_feature_select_strategy", "") is None:
        processor.vision_feature_select_strategy = config.vision_feature_select_strategy


def _weights(facts: ModelFacts, spec: ModelSpec) -> Any:
    """The transformers model in evaluation mode, on its device; a checkpoint that lacks weights is refused."""
    from transformers import AutoModel, AutoModelForImageTextToText

    auto: Any = AutoModel if facts.kind == "dual" else AutoModelForImageTextToText
    options = loading_options(spec, facts.dtype)
    model, report = _guarded(
        facts, lambda: auto.from_pretrained(facts.source, **options, **_origin(facts), output_loading_info=True)
    )
    # transformers would fill missing weights with random numbers and only warn.
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
    """Run a transformers loader without its warnings; its errors become one line."""
    from safetensors import SafetensorError
    from transformers.utils import logging

    # transformers warns of what concerns no embedding (unused heads, slow processors).
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
    """The class of a kind of model; a chat model needs a chat template."""
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
