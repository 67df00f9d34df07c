"""Workers: a Ray of this machine, started here and ended again, or a cluster that is there already.

Steps of `connected`: (1) what can be refused without Ray is refused; (2) Ray is started here, without dashboard, usage
report and log lines, in a temporary folder of its own; or the cluster's address is tried for a few seconds, then
joined; (3) GPUs and processors are counted against what the workers ask for. At the end, also after Ctrl-C, what was
started here is gone; a cluster that was there stays.
"""

from __future__ import annotations

import logging
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.config import ModelSpec
from core.errors import EngineError
from core.machine import free_memory

REACH_SECONDS = 5.0
"""Time an address has to answer."""
OBJECT_STORE = 2 * 2**30
"""Bytes of shared memory for blocks on their way, at most; a third of what is free where that is less."""
SMALLEST_STORE = 80 * 2**20
"""Ray refuses less."""
STARTS = 3
"""Times that a Ray of this machine is tried to start."""
READ_CPUS = 0.25
"""Share of a processor that reading a window of the corpus counts as."""
ALLOWED_ADDRESS = "auto (the cluster that this machine is part of), or HOST:PORT"


@dataclass(frozen=True)
class Cluster:
    """What the command line says about the workers.

    Attributes:
        address: None: workers on this machine; "auto" or "HOST:PORT": those of a cluster.
        workers: at most so many; None: one per GPU, or one per four processors.
        gpus_per_worker: may be a fraction; None: 1 where there are GPUs, else 0.
        shared: folder that all workers see under this path; they write their shards there.
        object_store: bytes of shared memory of a Ray that is started here; None: see `OBJECT_STORE`.
    """

    address: str | None = None
    workers: int | None = None
    gpus_per_worker: float | None = None
    shared: Path | None = None
    object_store: int | None = None


@dataclass(frozen=True)
class Session:
    """Workers that are there.

    Attributes:
        workers: at most so many at a time.
        gpus: of each.
        threads: of each worker's linear algebra; 0: as Ray sets it.
        node: id of the Ray node of this process, where the corpus is read.
        shared: see `Cluster`.
        version: of Ray.
        is_local: whether the workers are processes of this machine, started here.
    """

    workers: int
    gpus: float
    threads: int
    node: str
    shared: Path | None
    version: str
    is_local: bool

    def settled(self, model: ModelSpec) -> ModelSpec:
        """The model as the workers compute it: `auto` is the type of their devices, not of this machine's."""
        return replace(model, dtype="bfloat16" if self.gpus else "float32") if model.dtype == "auto" else model

    def facts(self) -> dict[str, Any]:
        """For a manifest."""
        return {"name": "ray", "version": self.version, "workers": self.workers, "gpus_per_worker": self.gpus}

    @property
    def here(self) -> dict[str, str]:
        """Label of this machine, for tasks that run on no other."""
        return {"ray.io/node-id": self.node}


@contextmanager
def connected(cluster: Cluster) -> Iterator[Session]:
    """Workers for as long as the block runs.

    Raises:
        EngineError: Ray is not installed, the address does not answer, or the cluster has less than was asked for.
    """
    _check(cluster)
    quieten()
    try:
        import ray
        import ray.data
    except ImportError as error:
        todo = "pip install 'retrieval-lens[scale]', or --engine local"
        raise EngineError("the package ray is not installed", got=str(error), todo=todo) from error
    if ray.is_initialized():
        yield _session(cluster)  # a test, or a notebook that has joined a cluster itself
        return
    folder = None if cluster.address else Path(tempfile.mkdtemp(prefix="rl-", dir=_short_folder()))
    try:
        with _without_stderr():
            _join(cluster) if folder is None else _start(cluster, folder)
        yield _session(cluster)
    finally:
        ray.shutdown()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def quieten() -> None:
    """Ray without usage report, progress bars and log lines; before it is imported."""
    for name, value in {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_BACKEND_LOG_LEVEL": "fatal",
        "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
        "RAY_worker_niceness": "0",  # the workers are the run, not something beside it
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # a worker that takes no GPU sees none
    }.items():
        os.environ.setdefault(name, value)
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)


@contextmanager
def _without_stderr() -> Iterator[None]:
    """Nothing on the process's standard error: Ray's own code writes lines there that no setting keeps back."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _check(cluster: Cluster) -> None:
    if cluster.workers is not None and cluster.workers < 1:
        raise EngineError("too few workers", got=f"--workers {cluster.workers}", allowed="1 or more")
    if cluster.gpus_per_worker is not None and cluster.gpus_per_worker < 0:
        raise EngineError("too few GPUs", got=f"--gpus-per-worker {cluster.gpus_per_worker:g}", allowed="0 or more")
    if cluster.shared is not None and not cluster.shared.is_dir():
        todo = "make it, where every worker sees it under this path"
        raise EngineError("no such shared folder", got=f"--shared {cluster.shared}", todo=todo)
    if cluster.address not in {None, "auto"}:
        _reach(str(cluster.address))


def _reach(address: str) -> None:
    """Try the address: Ray itself would wait for minutes.

    Raises:
        EngineError: it is none, or nothing answers.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 2**16:
        raise EngineError("no such address", got=f"--address {address}", allowed=ALLOWED_ADDRESS)
    try:
        socket.create_connection((host, int(port)), REACH_SECONDS).close()
    except OSError as error:
        todo = (
            "start the cluster with `ray start --head --port=6379`, or leave --address out to compute on this machine"
        )
        got = f"--address {address}: {error.strerror or error}"
        raise EngineError("the cluster cannot be reached", got=got, todo=todo) from error


def _join(cluster: Cluster) -> None:
    import ray

    try:
        ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        todo = "give this command on a machine of the cluster (`ray status` says whether it is one)"
        got = f"--address {cluster.address}: {str(error).splitlines()[0]}"
        raise EngineError("the cluster cannot be joined", got=got, todo=todo) from error


def _start(cluster: Cluster, folder: Path) -> None:
    import ray

    size = max(SMALLEST_STORE, int(min(OBJECT_STORE, free_memory() / 3)))
    # Room for the readers beside the workers, however few processors there are: a worker waits for its items.
    processors = max(os.cpu_count() or 1, cluster.workers or 1) + 1
    for left in reversed(range(STARTS)):
        try:
            ray.init(
                address="local",  # RAY_ADDRESS names no other
                num_cpus=processors,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                object_store_memory=cluster.object_store or size,
                _temp_dir=str(folder),
            )
            return
        except Exception as error:  # Ray's own is a bare Exception
            ray.shutdown()
            if left and "timed out during startup" in str(error):
                continue  # half a minute is fixed in Ray; a busy machine needs longer the first time
            todo = "--engine local computes without it"
            raise EngineError("Ray does not start here", got=str(error).splitlines()[0], todo=todo) from error


def _short_folder() -> str:
    """Where temporary files go. A path of a Unix socket has at most 107 bytes, and Ray adds 80 of its own."""
    usual = tempfile.gettempdir()
    return usual if len(usual) <= 12 else "/tmp"


def _session(cluster: Cluster) -> Session:
    """What the cluster has, against what is asked for.

    Raises:
        EngineError: fewer GPUs or processors than the workers need.
    """
    import ray

    there = ray.cluster_resources()
    gpus, processors = there.get("GPU", 0.0), there.get("CPU", 0.0)
    each = min(1.0, gpus) if cluster.gpus_per_worker is None else cluster.gpus_per_worker
    workers = cluster.workers or max(1, int(gpus / each) if each else int(processors) // 4)
    if workers * each > gpus:
        got = f"{workers} workers x {each:g} GPUs"
        todo = "fewer --workers, a smaller --gpus-per-worker, or 0 to compute on processors"
        raise EngineError("there are fewer GPUs than the workers need", got=got, allowed=f"{gpus:g} in all", todo=todo)
    if workers + READ_CPUS > processors:
        got, allowed = (
            f"--workers {workers}",
            f"{int(processors - READ_CPUS)} or fewer: each takes one, and reading a part",
        )
        raise EngineError("there are fewer processors than workers", got=got, allowed=allowed)
    _quiet_data()
    local = cluster.address is None and not each
    told = os.environ.get("OMP_NUM_THREADS", "")
    threads = int(told) if told.isdigit() else max(1, (os.cpu_count() or 1) // workers) if local else 0
    node = ray.get_runtime_context().get_node_id()
    return Session(workers, each, threads, node, cluster.shared, ray.__version__, cluster.address is None)


def _quiet_data() -> None:
    """Ray Data without bars and lines."""
    import ray

    quieten()  # importing ray sets its loggers up again
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    with suppress(AttributeError):
        context.enable_auto_log_stats = False
