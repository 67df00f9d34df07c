"""Stage "encode" by workers: the folder that `core.encode.encode_part` would make, under the same key.

Ray Data takes the windows that are missing (`flow.py`): (1) a task on this machine, or on any where a shared folder is
named, reads the window's items (`shipping.py`); (2) a pool of workers encodes it in the batches of a local run
(`worker.py`); (3) the arrays come here, or lie in the shared folder, and are written (`gathering.py`).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.config import EmbeddingSpec, Place
from core.encode import array_names, bytes_needed, encoding_spec, model_facts
from core.engine.cluster import Session
from core.engine.flow import Row, flow
from core.engine.gathering import Gathering
from core.engine.ledger import Ledger
from core.engine.shipping import CorpusOf, pack
from core.engine.worker import Encoder, Job, arrays_of, checked
from core.fingerprint import stage_key
from core.models.base import Adapter, ModelFacts
from core.progress import Progress
from core.records import EmbeddingView, Part
from core.store import Draft, Folder, Store
from core.windows import Journal, encoding_facts, outlier_note

if TYPE_CHECKING:
    from core.corpus import Corpus


@dataclass(frozen=True)
class EncodeJob:
    """What is encoded, and how.

    Attributes:
        load: gives a worker the model that `facts` describe.
        max_bad_share: of a part's items that may fail (0-1); their rows are zeros, and the facts name them (`bad`).
    """

    facts: ModelFacts
    load: Callable[[], Adapter]
    views: tuple[EmbeddingView, ...]
    words: tuple[Place, ...] = ()
    batch_tokens: int = EmbeddingSpec().batch_tokens
    max_bad_share: float = 0.0

    def folders(
        self, session: Session, corpus: Corpus, parts: Sequence[Part], store: Store, progress: Progress
    ) -> dict[Part, Folder]:
        """Embeddings of every item of some parts in every view, from the cache or by the session's workers.

        All parts go by in one flow: a worker loads the model once.

        Raises:
            ModelError: too many items fail, or the model cannot be loaded. EngineError: the workers are lost.
        """
        tables = {part: corpus.items(part) for part in parts}
        specs = {part: encoding_spec(tables[part].content, self.facts.key, self.views, self.words) for part in parts}
        keys = {part: stage_key("encode", specs[part]) for part in parts}
        # Parts of equal content share a folder.
        missing = {keys[part]: part for part in reversed(parts) if store.find("encode", keys[part]) is None}

        def build(waiting: list[Part], drafts: dict[Part, Draft]) -> None:
            """Each folder is built inside the one before it; the innermost fills them all."""
            if not waiting:
                return self._fill(session, corpus, drafts, store, progress)
            part, entered = waiting[0], []

            def write(draft: Draft) -> None:
                entered.append(part)
                build(waiting[1:], drafts | {part: draft})

            needs = bytes_needed(len(tables[part]), self.facts, self.views, self.words)
            store.build("encode", self.facts.name, specs[part], (), write, needs=needs)
            if not entered:  # another process has finished it meanwhile
                build(waiting[1:], drafts)
            return None

        if missing:
            build(list(reversed(missing.values())), {})
        made = {part: store.find("encode", key) for part, key in keys.items()}
        return {part: folder for part, folder in made.items() if folder is not None}

    def _fill(
        self, session: Session, corpus: Corpus, drafts: dict[Part, Draft], store: Store, progress: Progress
    ) -> None:
        """Arrays and facts of all drafts."""
        names, filling = array_names(self.facts, self.views, self.words), {}
        for part, draft in drafts.items():
            filling[part] = Gathering(draft, len(corpus.items(part)), names, self.max_bad_share)
        pieces: list[Row] = [
            {"part": part, "first": window.start, "last": window.stop}
            for part, gathering in filling.items()
            for window in gathering.missing
        ]
        total = sum(gathering.rows for gathering in filling.values())
        with _shared(session, drafts.values()) as shared, progress.task(f"encode with {self.facts.name}", total) as bar:
            bar.advance(total - sum(piece["last"] - piece["first"] for piece in pieces))
            job = Job(self.load, corpus.task, self.views, self.words, self.batch_tokens, session.threads, shared)
            try:
                # Closed at once where a row is refused or Ctrl-C is pressed: the workers go before anything begins.
                with closing(encoded(session, CorpusOf(store.root, corpus.key), job, pieces)) as rows:
                    for row in rows:
                        bar.advance(_take(filling[row["part"]], row, progress))
                        bar.note(f"by {row['worker']}")
            finally:
                for gathering in filling.values():
                    gathering.save()
        for part, draft in drafts.items():
            gathering = filling[part]
            draft.facts |= gathering.finish(session.facts())
            draft.facts |= encoding_facts(gathering.rows, self.views, gathering.journal) | model_facts(self.facts)
            draft.facts |= {"vocabulary": gathering.journal.vocabulary} if self.words else {}
            for note in filter(None, (outlier_note(gathering.journal), bad_note(draft.facts, part))):
                progress.say(note)


def bad_note(facts: dict[str, Any], part: str) -> str:
    """A sentence on items that could not be encoded; "" where there are none."""
    if not facts.get("bad"):
        return ""
    first = facts["bad"][0]
    return (
        f"{facts['bad_items']:,} of {facts['items']:,} {part.replace('_', ' ')} could not be encoded, and have rows of"
        f" zeros; the first: {first['id']}: {first['reason']}"
    )


def encoded(session: Session, corpus: CorpusOf, job: Job, pieces: Sequence[Row]) -> Generator[Row, None, None]:
    """Answers of the workers, in the order in which they come.

    Args:
        pieces: windows: part, first row, row behind the last.

    Raises:
        UserError: what a worker says. EngineError: Ray gives up.
    """
    if not pieces:
        return
    import ray

    def read(row: Row) -> Row:
        return row | {"items": pack(corpus, row["part"], range(row["first"], row["last"]))}

    ledger: Any = ray.remote(Ledger).options(num_cpus=0, label_selector=session.here).remote(session.workers)
    try:
        with closing(flow(session, pieces, read, Encoder, (job, ledger), anywhere=job.shared is not None)) as rows:
            for row in rows:
                yield checked(row)
    finally:
        with suppress(Exception):  # Ray may have ended, and the ledger with it
            ray.kill(ledger)


def _take(gathering: Gathering, row: Row, progress: Progress) -> int:
    """Write a worker's answer."""
    facts, file = row["facts"], row["file"]
    bad = {int(at): (name, reason) for at, (name, reason) in facts["bad"].items()}
    arrays = arrays_of(Path(file) if file else row["data"])
    for text in facts["said"]:
        progress.say(text)
    gathering.journal.vocabulary = facts["vocabulary"]
    rows = gathering.take(int(row["first"]), arrays, Journal(**facts["journal"]), bad, row["worker"])
    if file:
        Path(file).unlink()
    return rows


@contextmanager
def _shared(session: Session, drafts: Iterable[Draft]) -> Iterator[Path | None]:
    """The folder in which workers leave these windows, deleted at the end; None where there is none."""
    if session.shared is None:
        yield None
        return
    name = "-".join(draft.path.name.rpartition("--")[2][:8] for draft in drafts)
    folder = session.shared / f".retrieval-lens-{name}"
    folder.mkdir(exist_ok=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
