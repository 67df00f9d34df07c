"""How fine-tuned retrievers ask, each as its makers document it; what is not documented is marked "ours"."""

from __future__ import annotations

from core.models.turns import Frame, Prompt, Style, bare, with_instruction
from core.records import Item


def vlm2vec(item: Item) -> Prompt:
    """MMEB's wording: what is looked for stands before the words of a query; a text on its own is put in bare.

    The card gives the wording of fused queries, MMEB those of MSCOCO and EDIS. Ours: the same words for every corpus of
    a task.
    """
    if item.modality == "text":
        return with_instruction(item, "", _VLM2VEC_CAPTION if item.side == "query" and item.task in {1, 3} else "")
    if item.modality == "image":
        return with_instruction(
            item, _VLM2VEC_LOOK if item.side == "query" and item.task == 4 else " Represent the given image."
        )
    return with_instruction(item, "", _VLM2VEC_QUESTION if item.side == "query" else _VLM2VEC_RELATED)


_VLM2VEC_CAPTION = "Find me an everyday image that matches the given caption: "
_VLM2VEC_LOOK = " Find an image caption describing the given everyday image."
_VLM2VEC_QUESTION = " Represent the given image with the following question: "
_VLM2VEC_RELATED = " Represent the given image with related text information: "


def e5v(item: Item) -> Prompt:
    """ "Summary above ... in one word"; composed retrieval (task 7) as its CIRR evaluation words it, misspelling
    included."""
    if item.task == 7 and item.modality == "image,text":
        return with_instruction(item, '", desribe modified image in one word:', 'Modify this image with "')
    if item.task == 7 and item.modality == "image":
        return with_instruction(item, "\n Describe this image in one word:")
    above = {"text": "sentence", "image": "image", "image,text": "image and sentence"}[
        item.modality
    ]  # the last one is ours
    return with_instruction(item, f"\nSummary above {above} in one word: ")


def lamra(item: Item) -> Prompt:
    """As LamRA's candidates and its zero-shot queries; M-BEIR's written query instructions are not part of an item
    here."""
    above = {"text": "sentence", "image": "image", "image,text": "image and sentence"}[item.modality]
    return with_instruction(item, f"\nSummarize above {above} in one word: ")


_LLAMA3 = (
    "<|start_header_id|>user<|end_header_id|>\n\n",
    "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n \n",
)

DEFAULT_INSTRUCTION, QUERY_INSTRUCTION = (
    "Represent the user's input.",
    "Retrieve images or text relevant to the user's query.",
)
"""What Qwen3-VL-Embedding is told: the default, and for a query the instruction of its README's example."""

RETRIEVERS: dict[str, Style] = {
    "gme": Style(
        bare,
        "last",
        "gme_inference.py of Alibaba-NLP/gme-Qwen2-VL-2B-Instruct (copied in TIGER-AI-Lab/VLM2Vec), default "
        "instruction",
        Frame(system="You are a helpful assistant.", answer=True, ending="<|endoftext|>"),
        (256 * 28 * 28, 1280 * 28 * 28),
    ),
    "vlm2vec": Style(
        vlm2vec,
        "last",
        "card of TIGER-Lab/VLM2Vec-Qwen2VL-7B; instructions of MMEB (arXiv 2410.05160)",
        Frame(written=("", "")),
    ),
    "e5-v": Style(e5v, "last", "README.md and retrieval.py of github.com/kongds/E5-V", Frame(written=_LLAMA3)),
    "lamra": Style(
        lamra,
        "last",
        "demo.py of LamRA's code (as in github.com/yuanzm1/lamra): the state before <emb>",
        Frame(answer=True),
    ),
    "qwen3-vl-embedding": Style(
        bare,
        "last",
        "README.md of github.com/QwenLM/Qwen3-VL-Embedding (instructions, pixels, last token); system turn and opened "
        "answer as in copies of its src/models/qwen3_vl_embedding.py and in mteb",
        Frame(system=DEFAULT_INSTRUCTION, answer=True),
        (4096, 1843200),
        Frame(system=QUERY_INSTRUCTION, answer=True),
    ),
}
"""Their styles by name."""
