"""What the tokenizer sees of each item, rendered and tokenised once however often it is asked for.

One batch needs the string of a turn up to five times: to count its tokens, to find its answer header, to make the
model's inputs, to label its tokens. Items whose prompts are equal (all pictures without words) share one string. The
memory is emptied when it holds `LARGEST` tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from core.models.turns import Prompt
from core.records import Item

LARGEST = 2**18
"""Tokens held: some 40 MiB."""


@dataclass(frozen=True)
class Plain:
    """A rendered string, tokenised as it stands.

    Attributes:
        ids: token ids; its placeholder is one of them.
        offsets: characters of the string that each of them covers.
    """

    ids: list[int]
    offsets: list[tuple[int, int]]


class RenderedTurns:
    """Strings by prompt, tokens by string.

    Args:
        render: `DecoderAdapter.render`.
        tokenise: `DecoderAdapter.plain`.
    """

    def __init__(self, render: Callable[[Item, Prompt, bool], str], tokenise: Callable[[list[str]], Any]) -> None:
        self._render, self._tokenise = render, tokenise
        self._strings: dict[tuple[Prompt, bool], str] = {}
        self._tokens: dict[str, Plain] = {}
        self._held = 0

    def strings(self, items: Sequence[Item], prompts: Sequence[Prompt], answer: bool) -> list[str]:
        """The string of each item's turn; `answer` opens the model's own turn behind it."""
        rendered = []
        for item, prompt in zip(items, prompts, strict=True):
            if (string := self._strings.get((prompt, answer))) is None:
                string = self._strings[prompt, answer] = self._render(item, prompt, answer)
            rendered.append(string)
        return rendered

    def tokens(self, rendered: list[str]) -> list[Plain]:
        """The tokens of each string."""
        known = {string: self._tokens[string] for string in rendered if string in self._tokens}
        if missing := [string for string in dict.fromkeys(rendered) if string not in known]:
            made = self._tokenise(missing)
            known |= {s: Plain(made["input_ids"][i], made["offset_mapping"][i]) for i, s in enumerate(missing)}
            self._remember({string: known[string] for string in missing})
        return [known[string] for string in rendered]

    def _remember(self, made: dict[str, Plain]) -> None:
        self._held += sum(len(plain.ids) for plain in made.values())
        if self._held > LARGEST:
            self._strings.clear()
            self._tokens.clear()
            self._held = sum(len(plain.ids) for plain in made.values())
        self._tokens |= made
