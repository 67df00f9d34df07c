"""Hostile and broken input for the command line: what is given, with which code it must end, and what it must say.

`CASES` maps a name to a `Case`; each builds its files below a fresh folder and returns the words of one command.
No case loads a model.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

Words = tuple[object, ...]
LONG = "x" * 5000
ESCAPE = "\x1b[31m"
DEEP = 100_000


@dataclass(frozen=True)
class Case:
    """One command and how it must end."""

    make: Callable[[Path], Words]
    code: int
    says: tuple[str, ...]
    """Parts of the message, or of the report where the command succeeds."""
    environment: dict[str, str] = field(default_factory=dict)
    """Variables of the environment; `{at}` is the folder of the case."""


CASES: dict[str, Case] = {}


def case(code: int, *says: str, **environment: str) -> Callable[[Callable[[Path], Words]], Callable[[Path], Words]]:
    def decorate(make: Callable[[Path], Words]) -> Callable[[Path], Words]:
        CASES[make.__name__] = Case(make, code, says, environment)
        return make

    return decorate


def text_of(value: object) -> str:
    """A value as TOML writes it; JSON's form fits strings, numbers and lists."""
    return json.dumps(value)


def own(at: Path) -> Path:
    """A sound folder of own embeddings: eight queries, eight candidates, d = 4."""
    root = at / "own"
    root.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for part in ("queries", "candidates"):
        np.save(root / f"{part}.npy", rng.standard_normal((8, 4)).astype(np.float32))
    pairs = "\n".join(f"{n},{n},1" for n in range(8))
    (root / "qrels.csv").write_text(f"query-id,corpus-id,score\n{pairs}\n")
    return root


def photos(at: Path, number: int = 3, **files: str) -> Path:
    """A folder of plain pictures, with the text files given by name."""
    root = at / "photos"
    root.mkdir(exist_ok=True)
    for n in range(number):
        Image.new("RGB", (8, 8), (n * 40, 90, 120)).save(root / f"p{n}.png")
    for name, text in files.items():
        (root / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return root


def run(at: Path, extra: str = "", sae: str = 'source = "none"', top: str = "", corpus: str = "") -> Words:
    """`run` on sound own embeddings, with a spec that holds these lines as well."""
    root, path = own(at), at / "run.toml"
    text = f'{top}\n[corpus]\nsource = "embeddings"\npath = {text_of(str(root))}\n{corpus}\n[sae]\n{sae}\n{extra}\n'
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    return ("run", path)


def inspect(root: object, *words: object) -> Words:
    return ("corpus", root, "--max-bad-share", "1", *words)


def lines(*values: object) -> str:
    return "\n".join(json.dumps(value) for value in values)


def second_file(at: Path, file: object) -> Words:
    """A listing whose first line is sound and whose second names `file`."""
    return inspect(photos(at, captions__jsonl=lines({"file": "p0.png", "text": "a"}, {"file": file, "text": "b"})))
