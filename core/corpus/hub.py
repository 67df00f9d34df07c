"""Where a data set lies: a local folder, or a data set of the hub, fetched once into the hub's own cache.

`mbeir:NAME` is the study's publication (`MRBench/NAME`), `hf:OWNER/NAME` any data set. Only parquet, qrels and caption files are fetched.
"""

from __future__ import annotations

from pathlib import Path

from core.errors import CorpusError

MBEIR_OWNER = "MRBench"
PATTERNS = ["*.parquet", "*.tsv", "*.jsonl"]


def is_hub(path: str) -> bool:
    """Whether the path names a data set of the hub."""
    return path.startswith(("mbeir:", "hf:"))


def repository(path: str) -> str:
    """`mbeir:mscoco_task4` -> `MRBench/mscoco_task4`."""
    kind, _, name = path.partition(":")
    return name if kind == "hf" else f"{MBEIR_OWNER}/{name}"


def locate(path: str) -> Path:
    """The folder (or file) on disk.

    Raises:
        CorpusError: it is not there, or cannot be fetched.
    """
    if is_hub(path):
        return _fetch(repository(path))
    given = Path(path).expanduser()
    if not given.exists():
        raise CorpusError("no such corpus", got=given, allowed="a folder, mbeir:NAME or hf:OWNER/NAME")
    return given.resolve()


def _fetch(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, repo_type="dataset", allow_patterns=PATTERNS))
    except GatedRepoError as error:
        raise CorpusError("this data set asks for consent", got=name, todo="accept its terms on the hub and log in") from error
    except LocalEntryNotFoundError as error:
        raise CorpusError(
            "this data set is not on disk and the hub cannot be reached",
            got=name,
            todo="connect (HF_HUB_OFFLINE unset), or give a local folder as path",
        ) from error
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise CorpusError(f"the hub does not give this data set: {reason}", got=name, todo="check the name") from error
