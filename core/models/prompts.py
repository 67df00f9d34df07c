"""Prompts: how an item is presented to a model. One style per kind of prompt; the study's is one of them
(docs/study.md section 2).

In: an item (modality, task, side) and the name of a style. Out: the content parts of one user turn, which of their
characters are the instruction, and what stands around them. The chat template concatenates the parts. The study's
instructions end in a blank.

Every retriever's style says where it is documented; what is not documented there is marked "ours".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from core.errors import SpecError
from core.records import Item

TEXT = "\nSummarize the above sentence in one word: "
IMAGE = "\nSummarize the above image in one word: "
BOTH_SENTENCE = "\nSummarize above image and sentence in one word: "
BOTH_QUESTION = "\nSummarize the above image with the question in one word: "
BOTH_THE_SENTENCE = "\nSummarize the above image and the sentence in one word: "


@dataclass(frozen=True)
class Frame:
    """What stands around the parts of a turn.

    Attributes:
        system: words of a system turn before it; None leaves that to the chat template.
        answer: whether the model's own turn is opened behind it (the template's generation prompt).
        ending: characters behind everything, such as the end token that is pooled.
        written: what stands before and behind, for models embedded without a chat template; None takes the processor's
            template.
    """

    system: str | None = None
    answer: bool = False
    ending: str = ""
    written: tuple[str, str] | None = None


@dataclass(frozen=True)
class Prompt:
    """One user turn.

    Attributes:
        parts: content in order; None stands for the image.
        text: the item's own words, "" for an image.
        instruction: what asks for the summary, behind those words; "" in the `chat` style.
        lead: the part of the instruction that stands before those words.
        frame: what stands around the parts.
    """

    parts: tuple[str | None, ...]
    text: str
    instruction: str
    lead: str = ""
    frame: Frame = Frame()

    @property
    def has_image(self) -> bool:
        return None in self.parts


@dataclass(frozen=True)
class Style:
    """A way of asking.

    Attributes:
        turn: the turn of an item, frame left out.
        pooling: how the states become one row where the user names no pooling.
        source: where it is documented.
        frame: what stands around every turn.
        pixels: smallest and largest area an image is resized to; None leaves that to the processor.
    """

    turn: Callable[[Item], Prompt]
    pooling: str
    source: str
    frame: Frame = Frame()
    pixels: tuple[int, int] | None = None


def prompt_of(item: Item, preset: str) -> Prompt:
    """The turn of one item in a style of `STYLES`."""
    style = STYLES[preset]
    return replace(style.turn(item), frame=style.frame)


def resolve_style(preset: str, own: str | None, name: str) -> str:
    """Key of `STYLES` for a `[model] preset`.

    Args:
        own: style of the model's row of the table; None for a model that has none.
        name: the model, for the message.

    Raises:
        SpecError: `own` of a model whose prompts are not known.
    """
    if preset == "auto":
        return own or "study"
    if preset != "own":
        return preset
    if own is None:
        allowed = ", ".join(repr(style) for style in STYLES)
        raise SpecError(f"no prompts of {name} itself are known", got='model.preset = "own"', allowed=allowed)
    return own


def _with_instruction(item: Item, instruction: str, lead: str = "") -> Prompt:
    """Image, then lead, words and instruction as one part."""
    text = item.text or "" if item.modality != "image" else ""
    image: tuple[str | None, ...] = (None,) if item.modality != "text" else ()
    words = lead + text + instruction
    return Prompt((*image, words) if words else image, text, instruction, lead)


# The study
# ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Row:
    instruction: str
    joined: bool = False
    """Text and instruction are one content part."""


_SINGLE = {"text": _Row(TEXT), "image": _Row(IMAGE)}
_FUSED = {
    (3, "candidate"): _Row(BOTH_SENTENCE, joined=True),
    (6, "query"): _Row(BOTH_SENTENCE, joined=True),
    (7, "query"): _Row(BOTH_QUESTION),
    (8, "query"): _Row(BOTH_THE_SENTENCE),
    (8, "candidate"): _Row(BOTH_THE_SENTENCE),
}
_FUSED_ELSEWHERE = _FUSED[8, "query"]
"""Items with image and text on a side where the study has none (own folders): worded as task 8."""


def _study(item: Item) -> Prompt:
    """The study's parts."""
    row = (
        _FUSED.get((item.task, item.side), _FUSED_ELSEWHERE)
        if item.modality == "image,text"
        else _SINGLE[item.modality]
    )
    if row.joined:
        return _with_instruction(item, row.instruction)
    bare = _bare(item)
    return Prompt((*bare.parts, row.instruction), bare.text if item.modality != "image" else "", row.instruction)


def _bare(item: Item) -> Prompt:
    """The item and nothing else."""
    text = item.text or ""
    return Prompt(
        (*([None] if item.modality != "text" else []), *([text] if item.modality != "image" else [])), text, ""
    )


# Fine-tuned retrievers -----------------------------------------------------------------------------------------


def _vlm2vec(item: Item) -> Prompt:
    """MMEB's wording: what is looked for stands before the words of a query; a text on its own is put in bare.

    The card gives the wording of fused queries, MMEB those of MSCOCO and EDIS. Ours: the same words for every corpus of
    a task.
    """
    if item.modality == "text":
        return _with_instruction(item, "", _VLM2VEC_CAPTION if item.side == "query" and item.task in {1, 3} else "")
    if item.modality == "image":
        return _with_instruction(
            item, _VLM2VEC_LOOK if item.side == "query" and item.task == 4 else " Represent the given image."
        )
    return _with_instruction(item, "", _VLM2VEC_QUESTION if item.side == "query" else _VLM2VEC_RELATED)


_VLM2VEC_CAPTION = "Find me an everyday image that matches the given caption: "
_VLM2VEC_LOOK = " Find an image caption describing the given everyday image."
_VLM2VEC_QUESTION = " Represent the given image with the following question: "
_VLM2VEC_RELATED = " Represent the given image with related text information: "


def _e5v(item: Item) -> Prompt:
    """ "Summary above ... in one word"; composed retrieval (task 7) as its CIRR evaluation words it, misspelling
    included."""
    if item.task == 7 and item.modality == "image,text":
        return _with_instruction(item, '", desribe modified image in one word:', 'Modify this image with "')
    if item.task == 7 and item.modality == "image":
        return _with_instruction(item, "\n Describe this image in one word:")
    above = {"text": "sentence", "image": "image", "image,text": "image and sentence"}[
        item.modality
    ]  # the last one is ours
    return _with_instruction(item, f"\nSummary above {above} in one word: ")


def _lamra(item: Item) -> Prompt:
    """As LamRA's candidates and its zero-shot queries; M-BEIR's written query instructions are not part of an item
    here."""
    above = {"text": "sentence", "image": "image", "image,text": "image and sentence"}[item.modality]
    return _with_instruction(item, f"\nSummarize above {above} in one word: ")


_LLAMA3 = (
    "<|start_header_id|>user<|end_header_id|>\n\n",
    "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n \n",
)

STYLES: dict[str, Style] = {
    "study": Style(_study, "mean", "arXiv 2512.19115, released code"),
    "chat": Style(_bare, "mean", "the model's own chat template around the bare item"),
    "gme": Style(
        _bare,
        "last",
        "gme_inference.py of Alibaba-NLP/gme-Qwen2-VL-2B-Instruct (copied in TIGER-AI-Lab/VLM2Vec), default "
        "instruction",
        Frame(system="You are a helpful assistant.", answer=True, ending="<|endoftext|>"),
        (256 * 28 * 28, 1280 * 28 * 28),
    ),
    "vlm2vec": Style(
        _vlm2vec,
        "last",
        "card of TIGER-Lab/VLM2Vec-Qwen2VL-7B; instructions of MMEB (arXiv 2410.05160)",
        Frame(written=("", "")),
    ),
    "e5-v": Style(_e5v, "last", "README.md and retrieval.py of github.com/kongds/E5-V", Frame(written=_LLAMA3)),
    "lamra": Style(
        _lamra,
        "last",
        "demo.py of LamRA's code (as in github.com/yuanzm1/lamra): the state before <emb>",
        Frame(answer=True),
    ),
}
"""Every style by the name `[model] preset` gives it."""
