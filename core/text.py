"""Text from outside (file names, captions, names of runs, messages of other libraries), made safe to print.

A terminal obeys control characters: they colour, move the cursor, set the title, or type on the user's behalf. Marks of
writing direction make a name look like another. Half characters (lone surrogates: what Python makes of file names that
are no UTF-8, and what JSON may hold) cannot be printed at all.
"""

from __future__ import annotations

import re

UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters of both kinds, line separators, marks of writing direction, lone surrogates."""


def printable(text: object) -> str:
    """The text on one line, each unsafe character as a visible escape such as `\\x1b`.

    A byte of a file name that is no UTF-8 is written as that byte, `\\xff`. Everything else stays as it is.
    """
    return UNSAFE.sub(_escape, str(text))


def shortened(text: str, most: int) -> str:
    """At most `most` characters; the end of a longer text is replaced by the number of characters left out."""
    return text if len(text) <= most else f"{text[:most]}... ({len(text) - most} more characters)"


def is_utf8(text: str) -> bool:
    """Whether the text can be written as UTF-8: no half characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    # How Python stands for byte 0xff of a file name: U+DCFF.
    code = code - 0xDC00 if 0xDC80 <= code <= 0xDCFF else code
    named = {0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r"}
    return named.get(code) or (f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}")
