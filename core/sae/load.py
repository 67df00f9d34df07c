"""Where a dictionary comes from: trained here, shipped, a sae-lens folder, a hub file, or a checkpoint of the study.

In: an `SaeSpec` and the run it is for. Out: a folder of stage "sae": sae-lens's two files and `dictionary.npy`. What the SAE saw (`input`)
and learned from is a fact of the SAE: where its folder says so (`facts.json`), that holds; else the spec's `input` and "unknown".
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.config import SaeSpec
from core.errors import SaeError, ShapeMismatch
from core.fingerprint import hash_file, hash_folder
from core.models.base import Adapter, ModelFacts
from core.models.table import WEIGHTS as SHIPPED
from core.progress import Progress
from core.records import EmbeddingView, Item, Part
from core.sae.convert import convert_checkpoint
from core.sae.files import CONFIG, DICTIONARY, WEIGHTS, read_config, read_facts, unit_dictionary
from core.store import Draft, Folder, Store

if TYPE_CHECKING:
    from core.corpus import Corpus

HUB = "hf:"


def shipped_sae(model_name: str) -> Path | None:
    """Folder of the SAE shipped for a model of the table; None where there is none."""
    folder = SHIPPED / f"sae-{model_name}"
    return folder if (folder / CONFIG).is_file() else None


def obtain(
    spec: SaeSpec,
    corpus: Corpus,
    facts: ModelFacts,
    model: Callable[[], Adapter],
    encoded: Mapping[Part, Folder],
    view: EmbeddingView,
    store: Store,
    progress: Progress,
) -> Folder:
    """The SAE of a run: found in the cache, loaded, or trained on the run's own items.

    Raises:
        SaeError: unknown source, unreadable file, hub not reached. ShapeMismatch: it was made for another width of embedding.
    """
    if spec.source == "train":
        return _trained(spec, corpus, facts, model, encoded, view, store, progress)
    path = locate(spec.source, facts.name)
    loaded = {"content": hash_folder(path) if path.is_dir() else hash_file(path), "input": spec.input}
    if path.is_file():
        loaded["k"] = spec.k

    def write(draft: Draft) -> None:
        load_into(path, spec, draft)
        draft.facts.setdefault("source", _words(spec.source, path))

    folder = store.build("sae", f"{facts.name}-{path.stem}", loaded, (), write)
    if folder.facts["hidden_size"] != facts.hidden_size:
        got, allowed = f"a dictionary for d = {folder.facts['hidden_size']}", f"d = {facts.hidden_size} of {facts.name}"
        raise ShapeMismatch("the SAE does not fit the embeddings", got=got, allowed=allowed, todo="choose the SAE of this model")
    return folder


def locate(source: str, model_name: str) -> Path:
    """File or folder behind `shipped`, `hf:owner/name/file`, or a path.

    Raises:
        SaeError: there is none.
    """
    if source == "shipped":
        if (shipped := shipped_sae(model_name)) is None:
            raise SaeError(f"no SAE is shipped for {model_name}", allowed="'train', 'none', a folder, 'hf:owner/name/file'")
        return shipped
    if source.startswith(HUB):
        return _from_hub(source.removeprefix(HUB))
    path = Path(source).expanduser()
    if not path.exists():
        raise SaeError("no such SAE", got=repr(source), allowed="'train', 'none', 'shipped', a folder, a .pt file, 'hf:owner/name/file'")
    return path


def load_into(path: Path, spec: SaeSpec, draft: Draft) -> None:
    """Write a sae-lens folder, or a checkpoint of the study, into a draft of stage "sae"."""
    told = read_facts(path) if path.is_dir() else {}
    if path.is_dir():
        read_config(path)
        for name in (CONFIG, WEIGHTS):
            shutil.copyfile(path / name, draft.path / name)
    else:
        convert_checkpoint(path, spec.k, draft.path)
    finish(draft, {"input": spec.input, "trained_on": "unknown"} | told, spec.k)


def finish(draft: Draft, told: Mapping[str, Any], k: int) -> None:
    """`dictionary.npy` and the facts every SAE folder has."""
    config, dictionary = read_config(draft.path), unit_dictionary(draft.path)
    draft.save(DICTIONARY, dictionary)
    draft.facts |= dict(told) | {
        "k": int(config.get("k", k)),
        "width": dictionary.shape[0],
        "hidden_size": dictionary.shape[1],
        "architecture": config.get("architecture", "unknown"),
        "normalisation": config.get("normalize_activations", "none"),
    }


def _from_hub(address: str) -> Path:
    from huggingface_hub import errors, hf_hub_download

    owner, _, rest = address.partition("/")
    name, _, file = rest.partition("/")
    if not file:
        raise SaeError("not a hub address", got=f"{HUB}{address}", allowed="hf:owner/name/file.pt or hf:owner/name/folder")
    names = [file] if Path(file).suffix in (".pt", ".pth") else [f"{file.rstrip('/')}/{one}" for one in (CONFIG, WEIGHTS)]
    try:
        paths = [Path(hf_hub_download(f"{owner}/{name}", one)) for one in names]
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, errors.HFValidationError, OSError) as error:
        line = str(error).strip().splitlines()[0]
        raise SaeError("the SAE cannot be fetched", got=f"{HUB}{address}: {line}", todo="check address, network and login") from error
    return paths[0] if len(paths) == 1 else paths[0].parent


def _words(source: str, path: Path) -> str:
    return source if source.startswith(HUB) else f"{'shipped SAE' if source == 'shipped' else 'local'} {path.name}"


def _trained(
    spec: SaeSpec,
    corpus: Corpus,
    facts: ModelFacts,
    model: Callable[[], Adapter],
    encoded: Mapping[Part, Folder],
    view: EmbeddingView,
    store: Store,
    progress: Progress,
) -> Folder:
    """Train on every item of the run; a dual encoder has pooled embeddings only, as in the study."""
    data = "pooled" if facts.kind == "dual" else spec.data
    asked = asdict(spec) | {"data": data, "view": str(view), "batch": 4096}
    parts = {part: len(corpus.items(part)) for part in encoded}

    def write(draft: Draft) -> None:
        from core.sae.train import TrainingPlan, as_facts, train

        plan = TrainingPlan(facts.hidden_size, spec.width, spec.k, spec.steps, spec.seed)
        batches = _batches(data, plan.batch, spec, corpus, model, encoded, view)
        log = train(plan, batches, draft.path, progress)
        words = f"{data} of {_counted(parts)} of {corpus.name}; {facts.name}, {view}"
        finish(draft, {"input": spec.input, "trained_on": words, "source": "trained here", "log": as_facts(log)}, spec.k)

    return store.build("sae", f"{facts.name}-{spec.width}-{spec.k}", asked, tuple(folder.key for folder in encoded.values()), write)


def _counted(parts: Mapping[Part, int]) -> str:
    return ", ".join(f"{n} {part.replace('_', ' ')}" for part, n in parts.items())


def _batches(
    data: str,
    batch: int,
    spec: SaeSpec,
    corpus: Corpus,
    model: Callable[[], Adapter],
    encoded: Mapping[Part, Folder],
    view: EmbeddingView,
) -> Any:
    from core.sae.stream import alternate, pooled_rows, shuffled_batches, token_rows

    arrays = [folder.array(str(view)) for folder in encoded.values()]
    pooled = pooled_rows(arrays, batch, spec.seed + 1)
    if data == "pooled":
        rows = pooled
    else:
        tables = [corpus.items(part) for part in encoded]
        ends = np.cumsum([len(table) for table in tables])
        tokens = token_rows(model(), lambda at: _items(tables, ends, at), int(ends[-1]), view, spec.seed)
        rows = tokens if data == "tokens" else alternate(tokens, pooled)
    return shuffled_batches(rows, arrays[0].shape[1], batch, spec.input == "normalised")


def _items(tables: list[Any], ends: np.ndarray, rows: np.ndarray) -> list[Item]:
    """Items by their number in all tables put one after another."""
    which = np.searchsorted(ends, rows, side="right")
    starts = np.concatenate([[0], ends[:-1]])
    return [tables[a].item(int(row - starts[a])) for a, row in zip(which, rows, strict=True)]
