"""Reading where the model answers: the position that predicts the first word of its answer.

A chat template closes the user's turn. With `add_generation_prompt` it also opens the model's turn with a few tokens:
the answer header. The output head turns the state of the last header token into the first word.

- Pooling `answer` is that state. PromptEOL (arXiv 2307.16645) and E5-V (arXiv 2407.12580) read it; the study does not.
- `words` is the next-word distribution there: its 256 largest probabilities, as square roots. The dot product of two
  whole distributions is then their Bhattacharyya coefficient (1 for equal ones).

Where attention looks back only, one pass with the header leaves every state before it as it was. `decoder.py` measures
whether that holds; where it does not, the header gets a pass of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import NotAvailable
from core.models.prompts import STYLES
from core.records import EmbeddingView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scipy.sparse import csr_matrix
    from torch import Tensor

    from core.config import Place
    from core.models.base import ModelFacts

ANSWER = "answer"
"""Pooling: the state of the last token of the answer header."""

WORD_VIEWS: dict[Place, EmbeddingView] = {
    "answer": EmbeddingView(-1, "words", "all"),
    "last": EmbeddingView(-1, "words-last", "all"),
}
"""What to ask `Adapter.embed` for, to get the next-word distribution: behind the header, or at the last token without
one. Not embeddings: rows are (n, k) of `WORD`."""

BEHIND_HEADER = frozenset({ANSWER, "words"})
"""Poolings of views that need the header."""

WORD = np.dtype([("id", np.int32), ("weight", np.float32)])
"""One entry of a next-word distribution: vocabulary id, square root of its probability."""

LARGEST = 256
"""Entries of a distribution that are stored; fewer where the vocabulary is smaller."""


def is_words(view: EmbeddingView) -> bool:
    """Whether a view is a next-word distribution."""
    return view in WORD_VIEWS.values()


def next_words(logits: Tensor, entries: int) -> np.ndarray:
    """The largest entries of each next-word distribution, by ascending id.

    Args:
        logits: (b, v) of any float type.
        entries: k, at most v.

    Returns:
        (b, k) of `WORD`: id and square root of the probability, softmax in float32.
    """
    probabilities, ids = logits.float().softmax(dim=1).topk(entries, dim=1)
    words = np.empty(tuple(ids.shape), WORD)
    words["id"], words["weight"] = ids.cpu().numpy(), probabilities.sqrt().cpu().numpy()
    return np.take_along_axis(words, np.argsort(words["id"], axis=1), axis=1)


def as_sparse(rows: np.ndarray, vocabulary: int) -> csr_matrix:
    """(n, v) of rows (n, k) of `WORD`."""
    from scipy.sparse import csr_matrix

    n, k = rows.shape
    # copies: a memmap's fields lie apart, and sparse products want their own arrays
    weights, ids = np.ascontiguousarray(rows["weight"]).ravel(), np.ascontiguousarray(rows["id"]).ravel()
    return csr_matrix((weights, ids, np.arange(0, n * k + 1, k) if n else [0]), shape=(n, vocabulary))


def check_answers(facts: ModelFacts, places: Sequence[str]) -> None:
    """Refuse to read behind a header where the model's prompts leave no room for one.

    Args:
        places: poolings and places of words that are to be read.

    Raises:
        NotAvailable: a model without a chat template, or prompts that bring their own frame.
    """
    if facts.kind == "sentence-transformers" and {ANSWER, *WORD_VIEWS} & set(places):
        raise no_header(facts, f"kind {facts.kind}", "leave the answer and next words out of [embedding]")
    if ANSWER not in places:
        return
    if facts.kind == "plain":
        todo = "take pooling 'last': without a chat template the answer begins right behind the prompt"
        raise no_header(facts, f"{facts.model_type}, which has no chat template", todo)
    frame = STYLES[facts.preset].frame
    if frame.written is not None or frame.answer:
        todo = "take pooling 'last', which these prompts are made for, or set preset = \"study\" under [model]"
        raise no_header(facts, f"prompts {facts.preset!r}, which end where their makers read", todo)


def check_template(facts: ModelFacts, processor: Any) -> None:
    """Refuse a chat template that writes nothing where the answer begins.

    Raises:
        NotAvailable: as above.
    """
    turn = [{"role": "user", "content": [{"type": "text", "text": "A fox."}]}]
    closed, opened = (processor.apply_chat_template(turn, add_generation_prompt=flag) for flag in (False, True))
    if closed == opened:
        raise no_header(facts, *BARE_TEMPLATE)


BARE_TEMPLATE = (
    "a chat template that writes nothing for add_generation_prompt",
    "take pooling 'last': its user turn ends where the answer begins",
)


def no_header(facts: ModelFacts, got: str, todo: str) -> NotAvailable:
    """What is said of a model that cannot be read where it answers."""
    allowed = "a chat model whose template opens the model's turn (add_generation_prompt)"
    return NotAvailable(f"{facts.name} has no answer header", got=got, allowed=allowed, todo=todo)
