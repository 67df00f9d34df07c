"""Where a data set lies: a local folder, or a data set of the hub, fetched once into the hub's own cache.

`mbeir:NAME_taskN` is M-BEIR as the organisation MRBench publishes it, N counted as the study does (1-8);
`hf:OWNER/NAME` is any data set, by its own name. Only parquet, qrels and caption files are fetched.

MRBench's own names are `mbeir_NAME_taskM`, M counted as M-BEIR does: 0 text -> image, 1 text -> text, 2 text ->
image+text, 3 image -> text, 4 image -> image, from 6 on as the study (the `mteb` package loads
`MRBench/mbeir_mscoco_task3` for image -> text).
"""

from __future__ import annotations

import re
from pathlib import Path

from core.corpus.files import given_path
from core.errors import CorpusError
from core.paths import kind

MBEIR_OWNER = "MRBench"
PATTERNS = ["*.parquet", "*.tsv", "*.jsonl"]


def is_hub(path: str) -> bool:
    """Whether the path names a data set of the hub."""
    return path.startswith(("mbeir:", "hf:"))


def repositories(path: str) -> list[str]:
    """Names to ask for, the published one first: `mbeir:mscoco_task4` -> `MRBench/mbeir_mscoco_task3`, then as it was
    written."""
    kind, _, name = path.partition(":")
    if kind == "hf":
        return [name]
    name = name.removeprefix("mbeir_")
    published = re.sub(r"_task([1-5])$", lambda match: f"_task{int(match[1]) - 1}", name)
    return list(dict.fromkeys(f"{MBEIR_OWNER}/{one}" for one in (f"mbeir_{published}", f"mbeir_{name}", name)))


def task_of(path: str) -> int | None:
    """The study's task number (1-8) that a name of the hub says; None where it says none."""
    match = re.search(r"task[-_]?([0-8])", path)
    if not match:
        return None
    number = int(match[1])
    own = path.startswith(f"hf:{MBEIR_OWNER}/mbeir_")
    return number + 1 if own and number < 5 else number or None


def short_name(path: str) -> str:
    """`mbeir:mscoco_task4` -> `mscoco_task4`, `hf:OWNER/NAME` -> `NAME`."""
    return path.partition(":")[2].rpartition("/")[2]


def locate(path: str) -> Path:
    """The folder (or file) on disk.

    Raises:
        CorpusError: it is not there, or cannot be fetched.
    """
    if is_hub(path):
        return _fetch(repositories(path))
    given = given_path(path)
    if kind(given) == "nothing":
        raise CorpusError("no such corpus", got=given, allowed="a folder, mbeir:NAME or hf:OWNER/NAME")
    return given.resolve()


def _fetch(names: list[str]) -> Path:
    """The first of these data sets that there is."""
    from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError

    missed: dict[str, Exception] = {}
    for name in names:
        try:
            return _snapshot(name)
        except (LocalEntryNotFoundError, RepositoryNotFoundError) as error:
            missed[name] = error
    if any(isinstance(error, LocalEntryNotFoundError) for error in missed.values()):
        todo = "connect (HF_HUB_OFFLINE unset), or give a local folder as path"
        raise CorpusError(
            "this data set is not on disk and the hub cannot be reached", got=names[0], todo=todo
        ) from missed[names[0]]
    todo = "check the name; hf:OWNER/NAME names a data set as the hub does; a private one needs a login: hf auth login"
    raise CorpusError("no such data set on the hub", got=", ".join(names), todo=todo) from missed[names[0]]


def _snapshot(name: str) -> Path:
    """A data set's tables, fetched into the hub's own cache."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    try:
        return Path(snapshot_download(name, repo_type="dataset", allow_patterns=PATTERNS))
    except GatedRepoError as error:  # a kind of RepositoryNotFoundError
        todo = f"accept its terms at https://huggingface.co/datasets/{name} and log in: hf auth login"
        raise CorpusError("this data set is gated", got=name, todo=todo) from error
    except (LocalEntryNotFoundError, RepositoryNotFoundError):
        raise
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise CorpusError(f"the hub does not give this data set: {reason}", got=name, todo="check the name") from error
