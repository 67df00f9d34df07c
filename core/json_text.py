"""JSON that somebody else wrote: read into a value, or a short reason why it cannot be.

`json.loads` alone ends in three kinds of error, one of which (RecursionError, for thousands of brackets) no caller
expects.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class NotJson(Exception):
    """A text or file that holds no JSON, or no object; its text is the short reason."""


def json_value(text: str | bytes) -> Any:
    """The value that a text holds; bytes are UTF-8, with a byte order mark or without.

    Raises:
        NotJson: it holds none.
    """
    try:
        # utf-8-sig: some editors put a byte order mark in front, which JSON does not know.
        return json.loads(text.decode("utf-8-sig") if isinstance(text, bytes) else text)
    except UnicodeDecodeError as error:
        raise NotJson(f"not UTF-8: {error}") from error
    except RecursionError as error:
        raise NotJson("not JSON: brackets are nested too deeply") from error
    except ValueError as error:  # no JSON, or a number of more than 4,300 digits
        raise NotJson(f"not JSON: {error}") from error


def json_object(text: str | bytes) -> dict[str, Any]:
    """The object that a text holds; see `json_value`.

    Raises:
        NotJson: it holds none.
    """
    value = json_value(text)
    if not isinstance(value, dict):
        raise NotJson("not a JSON object")
    return value


def read_json_object(path: Path) -> dict[str, Any]:
    """The object of a file.

    Raises:
        NotJson: it holds none. OSError: it cannot be read.
    """
    return json_object(path.read_bytes())
