"""The map: every file of the project with one line of purpose, from its own docstring."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("core", "dashboard", "docs", "tests")
NO_CODE = {
    "core/demo/README.md": "The demo's runs and how its models are trained",
    "core/demo/train/stages/": "What each stage of demo-mllm before the last left behind: weights",
    "core/world/README.md": "The demo world and the licence of its sprites",
    "tests/store/earlier/": "A small cache as the release before this one wrote it",
    "tests/store/earlier.json": "What that release answered on it",
    "tests/golden/embeddings/": "Items and embeddings of the golden run",
    "tests/golden/sae/": "The SAE of the golden run",
    "tests/golden/answers.json": "What every question answered on the golden run, and under which versions",
    "core/demo/weights/": "Weights of the demo's models and SAEs, a card beside each model, one table of all SAEs",
    "reported.csv": "Every number the study printed",
    "core/config/spec.schema.json": "The JSON Schema of a spec file, for editors",
    "core/presets/": "Spec files that run by name",
    "core/world/sprites.json": "Where each thing is on the sprite sheet",
    "core/world/sprites.png": "The sprite sheet of the demo world",
    "dashboard/.streamlit/": "Theme and server settings",
    "dashboard/assets/": "Icon, logo and style sheet",
    "docs/overview.png": "README's picture of the Overview",
}
"""Files that hold no code, and folders of data that count as one: path (or the name alone) -> purpose."""
SKIPPED = ("__pycache__", ".egg-info", ".ruff_cache", ".mypy_cache")
SENTENCE = re.compile(r"(?<=[\w)`\"'\]])\. (?=[A-Z`])")


def listed() -> list[str]:
    """Paths of the map, from the checkout's root: files, and folders of data that count as one (with a / at the
    end)."""
    whole = tuple(path for path in NO_CODE if path.endswith("/"))
    paths = set()
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            name = path.relative_to(ROOT).as_posix()
            if path.is_dir() or any(part.endswith(SKIPPED) for part in path.parts) or name.endswith(".pyc"):
                continue
            paths.add(next((data for data in whole if name.startswith(data)), name))
    return sorted(
        name for name in paths if not (name.endswith("__init__.py") and not (ROOT / name).read_text().strip())
    )


def purpose(name: str) -> str:
    """One line: the first sentence of a module's docstring, the heading of a page, or the table's entry.

    Raises:
        ValueError: the file says nothing about itself.
    """
    first = NO_CODE.get(name) or NO_CODE.get(name.rpartition("/")[2], "")
    if not first and name.endswith(".md"):
        heading = re.match(r"# (.+)", (ROOT / name).read_text(encoding="utf-8"))
        first = heading[1] if heading else ""
    elif not first and name.endswith(".py"):
        described = ast.get_docstring(ast.parse((ROOT / name).read_text(encoding="utf-8"))) or ""
        paragraph = " ".join(described.split("\n\n")[0].split())
        first = SENTENCE.split(paragraph)[0].rstrip(".:")
    if not first:
        raise ValueError(f"{name} has no line of purpose; give it a docstring, or a row in docs/generate/files.py")
    return first


def tree() -> str:
    """The map in Markdown: one list per folder, one line per file."""
    lines: list[str] = []
    folder = ""
    for name in sorted(listed(), key=lambda name: (_folder(name), name)):
        if _folder(name) != folder:
            folder = _folder(name)
            lines += ["", f"**{folder}/**", ""]
        lines.append(f"- `{name.removeprefix(folder + '/')}` {purpose(name)}")
    return "\n".join(lines).strip("\n")


def _folder(name: str) -> str:
    return name.rstrip("/").rpartition("/")[0]
