"""One flow of Ray Data: pieces of work are read where their data lie, then go to a pool of workers that hold a model.

Each piece is one block, so that a lost worker costs one. Ray Data holds back whoever is too fast, starts workers that
die again and hands them their piece once more.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

from core.engine.cluster import READ_CPUS, Session
from core.errors import EngineError

Row = dict[str, Any]
"""A row of a Ray dataset: plain values and bytes."""


def flow(
    session: Session,
    pieces: Sequence[Row],
    read: Callable[[Row], Row],
    worker: type,
    arguments: tuple[Any, ...],
    *,
    anywhere: bool = False,
    ordered: bool = False,
) -> Generator[Row, None, None]:
    """`worker(*arguments)(read(piece))` of every piece.

    Args:
        worker: a class whose objects take a row and give one; one object per process.
        anywhere: whether any machine can read; else this one does.
        ordered: in the order of the pieces, else as they come.

    Raises:
        EngineError: the workers are lost.
    """
    if not pieces:
        return
    import ray
    from ray.data import ActorPoolStrategy
    from ray.exceptions import RayError

    most = min(session.workers, len(pieces))
    # All workers begin at once, idle ones are given up. Two pieces each: the next is there when one is finished.
    pool = ActorPoolStrategy(min_size=1, max_size=most, initial_size=most, max_tasks_in_flight_per_actor=2)
    dataset: Any = ray.data.from_items(list(pieces), override_num_blocks=len(pieces))
    dataset.context.execution_options.preserve_order = ordered
    dataset = dataset.map(read, num_cpus=READ_CPUS, label_selector=None if anywhere else session.here)
    dataset = dataset.map(
        worker, fn_constructor_args=arguments, compute=pool, num_cpus=1, num_gpus=session.gpus or None
    )
    try:
        yield from dataset.iter_rows()
    except RayError as error:
        raise lost(error) from error


def lost(error: Exception) -> EngineError:
    """What Ray raises, in one line."""
    first = next((line for line in reversed(str(error).strip().splitlines()) if line.strip()), type(error).__name__)
    todo = "give the same command again: it goes on from what is finished; `ray status` and Ray's logs say more"
    return EngineError("the workers are lost", got=first, todo=todo)
