"""Retrieval tasks of the package mteb, taken into the cache by that package's own loaders.

1. The task is looked up by its name in mteb; language and split are chosen among those it has.
2. mteb loads it: from the hub, with its revision, its renaming of columns and its own joining of titles and
   instructions to texts. What is kept is what a model would be given there.
3. It is written once, as the three tables that `mbeir.py` reads: query.parquet, corpus.parquet, qrels.parquet (stage
   "mteb" of the cache). From then on neither mteb nor the hub is asked.

With `path` the items come with vectors that mteb has stored; `mteb_files.py` finds them. A task that ranks a list given
per query (reranking) is refused: here every query searches the whole pool.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from importlib import metadata
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from core.config import CorpusSpec
from core.corpus import mbeir
from core.corpus.rows import Source
from core.corpus.tables import modality_of
from core.errors import CorpusError, UserError
from core.fingerprint import stage_key
from core.records import MODALITIES, Modality
from core.store import Draft, Folder, Store

if TYPE_CHECKING:
    from datasets import Dataset
    from mteb.abstasks.retrieval import AbsTaskRetrieval

STAGE = "mteb"
ITEMS = pa.schema(
    [
        ("id", pa.string()),
        ("modality", pa.string()),
        ("text", pa.string()),
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
    ]
)
ROWS_AT_ONCE = 64
"""Rows of one group of a table with pictures: what is read to see one picture again."""
NAMES_SHOWN = 5
LANGUAGES_SHOWN = 40
KINDS: dict[str, Modality] = {"t": "text", "i": "image", "it": "image,text"}
"""Modality of either side by mteb's letters: category `it2i` asks for images by image and text."""


@dataclass(frozen=True)
class Benchmark:
    """Which part of which task it is, and how mteb scores it."""

    task: str
    subset: str
    split: str
    revision: str
    main_score: str
    number: int
    """Task type of M-BEIR, by the modalities of both sides."""
    ignore_identical_ids: bool
    """Whether a candidate with the query's own id is taken out of the ranking."""
    skip_first_result: bool
    """Whether the first candidate of every ranking is taken out of it."""


def task_number(spec: CorpusSpec, store: Store) -> int:
    """Task type of M-BEIR that the task is of; nothing is loaded.

    Raises:
        CorpusError: no such retrieval task, language or split; a task of other modalities or of another number than
            the spec says; mteb is not installed.
    """
    folder = store.find(STAGE, stage_key(STAGE, _key_spec(spec)))
    number = folder.facts["benchmark"]["number"] if folder else _choose(spec)[1].number
    if spec.task not in {None, number}:
        todo = "leave task out of [corpus]"
        raise CorpusError(f"{spec.mteb_task} is of another task", got=f"task = {spec.task}", allowed=number, todo=todo)
    return number


def read(spec: CorpusSpec, store: Store) -> Source:
    """A task of mteb as a source, taken into the cache first.

    Raises:
        CorpusError: as `task_number`; the data cannot be fetched; the vectors at `path` are not this task's.
    """
    folder = taken_in(spec, store)
    facts: dict[str, Any] = dict(folder.facts["benchmark"])
    made_from: tuple[Folder, ...] = (folder,)
    if spec.path:
        from core.corpus import mteb_files

        source, made = mteb_files.with_vectors(spec, folder, store)
        made_from = (made, folder)  # the first is the one that `root` lies in
        facts["vectors"] = "predictions" if mteb_files.holds_predictions(spec) else "embeddings"
    else:
        source = mbeir.read_tables(spec, folder.path)
    name = "-".join([facts["task"], *([facts["subset"]] if facts["subset"] != "default" else []), facts["split"]])
    mark = {"files": made_from[0].digest}
    return replace(source, name=name, fingerprint=mark, made_from=made_from, benchmark=facts)


def taken_in(spec: CorpusSpec, store: Store) -> Folder:
    """The folder of the cache with the task's three tables."""

    def write(draft: Draft) -> None:
        task, benchmark = _choose(spec)
        _write(task, benchmark, draft)

    name = "-".join(filter(None, (spec.mteb_task, spec.language, spec.split)))
    return store.build(STAGE, name, _key_spec(spec), (), write)


def _key_spec(spec: CorpusSpec) -> dict[str, Any]:
    """What the tables hang on. The package's version is part of it: revisions of data sets change with it."""
    return {"task": spec.mteb_task, "language": spec.language, "split": spec.split, "mteb": require_mteb()}


def require_mteb() -> str:
    """The version of mteb that is installed; CorpusError where none is."""
    try:
        return metadata.version("mteb")
    except metadata.PackageNotFoundError as error:
        raise CorpusError("this needs the package mteb", todo="pip install retrieval-lens[mteb]") from error


def _choose(spec: CorpusSpec) -> tuple[AbsTaskRetrieval, Benchmark]:
    """The task, with one language and one split left in it."""
    from mteb.abstasks.retrieval import AbsTaskRetrieval
    from mteb.get_tasks import TASK_LIST

    known = {task.metadata.name: task for task in TASK_LIST if issubclass(task, AbsTaskRetrieval)}
    if spec.mteb_task not in known:
        near = get_close_matches(spec.mteb_task, known, n=NAMES_SHOWN, cutoff=0.4)
        allowed = ", ".join(near) if near else f"one of its {len(known)} retrieval tasks"
        todo = "mteb.get_tasks() lists them"
        raise CorpusError("mteb has no retrieval task of that name", got=spec.mteb_task, allowed=allowed, todo=todo)
    about = known[spec.mteb_task].metadata
    number = _number(about.name, about.category)
    subset, split = _subset(spec.language, about), _split(spec.split, about)
    with warnings.catch_warnings():  # that a task is in beta, or superseded
        warnings.simplefilter("ignore")
        task = known[spec.mteb_task]()
    task.hf_subsets = [subset]
    task.filter_eval_splits([split])
    rules = (bool(task.ignore_identical_ids), bool(task.skip_first_result))
    return task, Benchmark(about.name, subset, split, str(about.dataset["revision"]), about.main_score, number, *rules)


def _number(name: str, category: str | None) -> int:
    """Task type of M-BEIR of one of mteb's categories."""
    query, _, candidate = (category or "").partition("2")
    if query not in KINDS or candidate not in KINDS or (KINDS[query], KINDS[candidate]) not in mbeir.TASKS:
        allowed = "texts, images, or both: " + ", ".join(f"{_letters(q)}2{_letters(c)}" for q, c in mbeir.TASKS)
        raise CorpusError(f"{name} has items of other kinds", got=category, allowed=allowed)
    return mbeir.TASKS[KINDS[query], KINDS[candidate]]


def _letters(modality: Modality) -> str:
    return next(letters for letters, kind in KINDS.items() if kind == modality)


def _subset(asked: str | None, about: Any) -> str:
    """The one subset that is meant: by its name, or by a language that no other subset has."""
    subsets: dict[str, list[str]] = about.hf_subsets_to_langscripts
    fitting = [
        name
        for name, languages in subsets.items()
        if asked is None or any(asked in (language, language.partition("-")[0]) for language in languages)
    ]
    if asked in subsets:
        return asked
    if len(fitting) == 1:
        return fitting[0]
    shown = fitting or list(subsets)
    more = [f"and {len(shown) - LANGUAGES_SHOWN} more"] if len(shown) > LANGUAGES_SHOWN else []
    allowed = ", ".join(shown[:LANGUAGES_SHOWN] + more)
    if asked is None:
        raise CorpusError(
            f"{about.name} has {len(subsets)} languages",
            got="none named",
            allowed=allowed,
            todo="set language in [corpus]",
        )
    what = f"several parts of {about.name} are in" if fitting else f"{about.name} has no language"
    raise CorpusError(f"{what} {asked!r}", allowed=allowed, todo="set language in [corpus] to one of them")


def _split(asked: str | None, about: Any) -> str:
    """The split that is meant: as asked for, else `test`, else the only one."""
    splits: list[str] = list(about.eval_splits)
    if asked is not None:
        return asked  # also one that mteb does not score, such as train; the loader knows which there are
    if "test" in splits or len(splits) == 1:
        return "test" if "test" in splits else splits[0]
    raise CorpusError(
        f"{about.name} has {len(splits)} splits",
        got="none named",
        allowed=", ".join(splits),
        todo="set split in [corpus]",
    )


def _write(task: AbsTaskRetrieval, benchmark: Benchmark, draft: Draft) -> None:
    """Load the task and write its tables."""
    from mteb.types import PromptType

    data = _loaded(task, benchmark)
    if data["top_ranked"] is not None:
        allowed = "tasks whose queries search the whole pool"
        raise CorpusError(f"{benchmark.task} gives each query a list of its own to rank", allowed=allowed)
    # As mteb's evaluation does: a query that no line of the qrels names is not asked.
    named = {query for query, documents in data["relevant_docs"].items() if documents}
    queries = data["queries"].select([n for n, name in enumerate(data["queries"]["id"]) if name in named])
    for name, items, role in (
        ("query", queries, PromptType.query),
        ("corpus", data["corpus"], PromptType.document),
    ):
        with pq.ParquetWriter(draft.path / f"{name}.parquet", ITEMS, compression="zstd") as table:
            for rows in _rows(items, task, role):
                table.write_table(pa.Table.from_pylist(rows, schema=ITEMS))
    lines = [
        {"query-id": str(query), "corpus-id": str(document), "score": int(score)}
        # In an order of our own: mteb's grouping has none, and the same task must give the same bytes.
        for query, documents in sorted(data["relevant_docs"].items())
        for document, score in sorted(documents.items())
    ]
    columns = pa.schema([("query-id", pa.string()), ("corpus-id", pa.string()), ("score", pa.int64())])
    pq.write_table(pa.Table.from_pylist(lines, schema=columns), draft.path / "qrels.parquet")
    draft.facts["benchmark"] = asdict(benchmark)


def _loaded(task: AbsTaskRetrieval, benchmark: Benchmark) -> Any:
    """mteb's own record of one subset and split: corpus, queries, relevant_docs, top_ranked.

    Raises:
        CorpusError: it cannot be loaded, for whatever reason of the hub, the network or the task's own code.
    """
    place = task.metadata.dataset["path"]
    try:
        task.load_data()
        task.convert_v1_dataset_format_to_v2(num_proc=None)
        return task.dataset[benchmark.subset][benchmark.split]
    except (UserError, MemoryError):
        raise
    except Exception as error:  # each task may bring a loader of its own, which may fail in any way
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        todo = f"check the network, and whether you may read it: hf download --repo-type dataset {place}"
        if "Please specify a valid split" in reason:
            todo = "set split in [corpus]"
        raise CorpusError(f"mteb cannot load {benchmark.task} ({place})", got=reason, todo=todo) from error


def _rows(items: Dataset, task: AbsTaskRetrieval, role: Any) -> Iterator[list[dict[str, Any]]]:
    """Items as the model would be given them by mteb, a few at a time."""
    from datasets import Image
    from mteb._create_dataloaders import create_dataloader

    items = create_dataloader(items, task_metadata=task.metadata, prompt_type=role).dataset
    if "image" in items.column_names:
        if not isinstance(items.features["image"], Image):
            got = f"a column image of {items.features['image']}"
            raise CorpusError(f"{task.metadata.name} has other than one picture per item", got=got)
        items = items.cast_column("image", Image(decode=False))  # the bytes as they are: nothing is encoded anew
    for batch in items.iter(batch_size=ROWS_AT_ONCE):
        texts = batch.get("text") or [None] * len(batch["id"])
        images = batch.get("image") or [None] * len(batch["id"])
        yield [_row(str(i), t, image) for i, t, image in zip(batch["id"], texts, images, strict=True)]


def _row(item_id: str, text: str | None, image: dict[str, Any] | None) -> dict[str, Any]:
    """One row of a table; a picture is read where only its path is given."""
    if image is not None and image.get("bytes") is None and image.get("path"):
        with open(image["path"], "rb") as stream:
            image = {"bytes": stream.read(), "path": None}
    # A text that is empty stays as it is, since mteb's hash of the item holds it; what is encoded is the picture alone.
    modality = modality_of(text if image is None or (text or "").strip() else None, image)
    assert modality in MODALITIES
    return {"id": item_id, "modality": modality, "text": text, "image": image}
