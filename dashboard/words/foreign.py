"""Text that is not ours, shown as the text it is: run names, captions, labels, links, files, error messages.

Streamlit reads Markdown in nearly everything that it draws: sentences, labels, help texts, buttons. `plain` is the one
way there for foreign text. In HTML of our own it is `html.escape`, in figures `charts.base.text`.
"""

from __future__ import annotations

import re
import shlex

JOINER = "\u2060"
"""Word joiner: has no width, and keeps two signs from being read together."""
_SIGNS = re.compile(r"([\\`*_\[\]<>$~|])")
"""Signs that mean something to Markdown wherever they stand."""
_AT_START = re.compile(r"^(\d*)([#+\-=.)])")
"""Signs that start a heading, a list or a line."""
_READ_TOGETHER = re.compile(
    r"(:)(?=[\w/+-])|(?<=www)(?=\.)|(@)(?=(?:\\?[\w-])+\.[\w\\-])|(-)(?=-|\\>)|(\\[<>~])(?=[-=])", re.IGNORECASE
)
"""Where Streamlit finds icons (`:material/x:`), emoji, links, addresses, dashes and arrows, whether escaped or not. An
address has a dot behind its @: `Recall@1` is none, and is found by who searches the page for it."""

_COMMAND = re.compile(r"`(retrieval-lens [^`]*|\[[a-z]+\][^`]*)`")
"""What core sets in backticks on purpose: its commands, and sections of a spec."""


def plain(text: object) -> str:
    """Foreign text as Markdown that shows it as it is, on one line."""
    words = "".join(sign if sign.isprintable() else " " for sign in str(text))
    escaped = _SIGNS.sub(r"\\\1", " ".join(words.split()))
    escaped = _AT_START.sub(r"\1\\\2", escaped)
    escaped = re.sub(r"&(?=[#\w])", r"\\&", escaped)
    return _READ_TOGETHER.sub(lambda match: match[0] + JOINER, escaped)


def prose(text: str) -> str:
    """A sentence of core with foreign words in it: commands and keys of a spec in `backticks` are code, nothing else in
    it is Markdown."""
    parts = _COMMAND.split(text)
    return "".join(code(part) if at % 2 else _edges(part) for at, part in enumerate(parts))


def code(text: str) -> str:
    """A command as Markdown code; it may hold backticks."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence}{text}{fence}" if text.strip() and not longest else f"{fence} {text} {fence}"


def shell(name: str) -> str:
    """A name as an argument of a command that is shown to be copied."""
    return shlex.quote(name)


def _edges(text: str) -> str:
    """`plain`, with the spaces around it."""
    inner = text.strip()
    if not inner:
        return text
    before, after = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    return f"{' ' if before else ''}{plain(inner)}{' ' if after else ''}"
