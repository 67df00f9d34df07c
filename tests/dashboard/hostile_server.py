"""The dashboard on a cache whose every word of others is hostile: `python hostile_server.py APP PORT LISTENER_PORT`.

The words are changed in memory, where core reads them: no file is tampered with, which the cache would notice. What is
computed then holds them for good, so the cache is a copy.
"""

from __future__ import annotations

import sys
from functools import cached_property
from typing import Any

WORDS = ("hostile-bold", "hostile-link", "hostile-red", "hostile-code", "hostile-math", "hostile-head", "hostile-tag")
"""None of them may stand in an element of its own: that element would have been made of the text."""


def hostile(port: int | str) -> str:
    """Markdown, directives, emoji, LaTeX, HTML and addresses, in one line."""
    at = f"http://127.0.0.1:{port}"
    return (
        f"**hostile-bold** ![x]({at}/markdown.png) [hostile-link]({at}/a) :red[hostile-red] `hostile-code`"
        f" $hostile-math$ <b>hostile-tag</b> <img src={at}/html.png> <script>fetch('{at}/script')</script>"
        f" {at}/bare www.hostile.example a@hostile.example :smile: :material/home: ~~gone~~ | a -> b"
    )


def poison(text: str) -> None:
    """Put the text wherever core reads words of others."""
    import pandas as pd

    from core.corpus.tables import ItemTable
    from core.questions import answers
    from core.records import SaeRecord
    from core.run import Run

    texts, read = ItemTable.texts, answers._read_table
    original: Any = texts.func if isinstance(texts, cached_property) else texts.fget

    def poisoned(self: ItemTable) -> list[str | None]:
        return [None if one is None else f"# hostile-head {text} {one}" for one in original(self)]

    def labelled(folder: Any) -> pd.DataFrame:
        table = read(folder)
        # What was computed here has these words already.
        for column in {"label", "run", "model", "on"} & set(table):
            words = [
                one and ", ".join(part if text in part else f"{text} {part}" for part in str(one).split(", "))
                for one in table[column]
            ]
            table = table.assign(**{column: words})
        return table

    def named(self: Run) -> str:
        return f"{text} {self.folder.facts['name']}"

    property_of_texts = cached_property(poisoned)
    property_of_texts.__set_name__(ItemTable, "texts")
    ItemTable.texts = property_of_texts
    Run.name = property(named)
    Run.model_name = property(lambda self: f"{text} {self.folder.facts['model']}")
    answers._read_table = labelled
    made = SaeRecord.__init__

    def hostile_record(self: SaeRecord, *arguments: Any, **named: Any) -> None:
        made(self, *arguments, **named)
        object.__setattr__(self, "source", text)
        object.__setattr__(self, "trained_on", text)

    SaeRecord.__init__ = hostile_record


if __name__ == "__main__":
    from streamlit.web import cli

    app, port, listener = sys.argv[1:]
    poison(hostile(listener))
    sys.argv = ["streamlit", "run", app, "--server.port", port, "--server.headless", "true"]
    cli.main()
