"""Where the analysis computes: NumPy, or torch on the device at hand, through one array namespace.

The science is written once, in the words of the array API standard (data-apis.org/array-api), as scikit-learn does:
`namespace(x)` gives the functions that fit an array, `Engine.put` and `to_numpy` bring it there and back. On a CPU the
engine is NumPy: its products are as fast as torch's and it takes less memory. On CUDA it is torch in float64 and
float32; on MPS, which has no float64, only what asks for none. `computing_on` chooses for all that runs inside it;
nothing else in the analysis names a device. Knows nothing of what is computed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from core.errors import NotAvailable

Array = Any
"""A NumPy array or a torch tensor."""
T = TypeVar("T")
SMALL = 1e9
"""Operations that are not worth a transfer to a GPU."""
MIB = 2**20


@dataclass(frozen=True)
class Engine:
    """One place to compute."""

    device: str = "numpy"
    """`numpy`, or the name of a torch device."""

    @property
    def xp(self) -> Any:
        """The functions of the array API for arrays of this engine."""
        return np if self.device == "numpy" else _torch()

    @property
    def on_gpu(self) -> bool:
        """Whether arrays have to travel."""
        return self.device.startswith(("cuda", "mps", "xpu"))

    @property
    def float64(self) -> bool:
        """Whether the device has float64."""
        return not self.device.startswith("mps")

    def put(self, array: Array, dtype: str | None = None) -> Array:
        """The array on this engine, as float32 or float64; no copy where nothing has to change."""
        if self.device == "numpy":
            return np.asarray(array, dtype=dtype)
        import torch

        if isinstance(array, np.ndarray) and not array.flags.writeable:
            array = np.array(array, dtype=dtype)  # torch warns of tensors over a read-only memmap
        # Travel first, widen there: a tensor that changes both at once is widened before it travels.
        moved = torch.as_tensor(array).to(self.device)
        return moved if dtype is None else moved.to(getattr(torch, dtype))


NUMPY = Engine()
_ENGINE: ContextVar[Engine | None] = ContextVar("engine", default=None)
_BLOCK_MIB: ContextVar[int] = ContextVar("block_mib", default=32)


@contextmanager
def computing_on(device: str | Engine = "auto", block_mib: int | None = None) -> Iterator[None]:
    """Within: the analysis computes there. `auto`: a GPU where there is one, for what is worth it; `cpu`: NumPy; else a
    torch device. `block_mib`: MiB of one block of rows or scores, of which a few are in memory at a time.

    Raises:
        NotAvailable: the device is not there.
    """
    chosen: Engine | None
    if isinstance(device, Engine):
        chosen = device
    elif device in ("auto", "cpu"):
        chosen = None if device == "auto" else NUMPY
    elif available(device):
        chosen = Engine(device)
    else:
        raise NotAvailable(f"this machine has no device {device}", got=device, allowed="auto, cpu", todo="use auto")
    tokens = _ENGINE.set(chosen), _BLOCK_MIB.set(block_mib or _BLOCK_MIB.get())
    try:
        yield
    finally:
        _ENGINE.reset(tokens[0])
        _BLOCK_MIB.reset(tokens[1])


def available(device: str) -> bool:
    """Whether `computing_on` takes that device here."""
    kind = device.partition(":")[0]
    if kind in ("auto", "cpu"):
        return True
    import torch

    if kind == "cuda":
        return bool(torch.cuda.is_available())
    return kind == "mps" and bool(torch.backends.mps.is_available())


def engine(operations: float, *, float64: bool = True) -> Engine:
    """The engine for so many floating-point operations. `float64`: whether it has to have that."""
    chosen = _ENGINE.get()
    if chosen is None:
        chosen = Engine(_gpu()) if operations >= SMALL and _gpu() else NUMPY
    return chosen if chosen.float64 or not float64 else NUMPY


def block_bytes() -> int:
    """Bytes of one block of rows or scores (`[compute] block_mib`)."""
    return _BLOCK_MIB.get() * MIB


def namespace(array: Array) -> Any:
    """The functions of the array API that fit this array."""
    return np if isinstance(array, np.ndarray) else _torch()


def engine_of(array: Array) -> Engine:
    """Where this array is."""
    return NUMPY if isinstance(array, np.ndarray) else Engine(str(array.device))


def row_squares(x: Array) -> Array:
    """(n,) sums of the squares of each row, in the precision of `x`."""
    # einsum makes no array of squares; in float32 its plain sum would be less exact than NumPy's pairwise one.
    if isinstance(x, np.ndarray):
        return np.einsum("nd,nd->n", x, x) if x.dtype == np.float64 else (x * x).sum(axis=1)
    return namespace(x).linalg.vecdot(x, x)


def to_numpy(array: Array) -> np.ndarray:
    """The array in main memory."""
    return array if isinstance(array, np.ndarray) else array.detach().cpu().numpy()


@contextmanager
def full_precision() -> Iterator[None]:
    """Within: float32 products of torch are float32 products. Elsewhere TF32 or bfloat16 may be allowed, whose rounding
    is 2^-11 or 2^-8 instead of 2^-24."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    backends = torch.backends.cuda.matmul, torch.backends.mkldnn.matmul
    places = [place for place in backends if hasattr(place, "fp32_precision")]
    if not places:  # torch before 2.9
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)
        return
    allowed = [place.fp32_precision for place in places]
    for place in places:
        place.fp32_precision = "ieee"
    try:
        yield
    finally:
        for place, precision in zip(places, allowed, strict=True):
            place.fp32_precision = precision


def ahead(blocks: Iterable[T]) -> Iterator[T]:
    """The same blocks, each read by a thread while the one before it is worked on: two are in memory."""
    from concurrent.futures import ThreadPoolExecutor
    from contextvars import copy_context

    iterator, end = iter(blocks), object()

    def take() -> object:
        return next(iterator, end)

    context = copy_context()  # whoever waits for this computation is asked in the thread too
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:
        following = pool.submit(context.run, take)
        while True:
            block = following.result()
            if block is end:
                return
            following = pool.submit(context.run, take)
            yield cast(T, block)


@cache
def _gpu() -> str:
    """The GPU of this machine as torch names it; "" where there is none. Loads torch only where there may be one."""
    signs = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
    if not (any(Path(sign).exists() for sign in signs) or sys.platform in ("darwin", "win32")):
        return ""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else ""


@cache
def _torch() -> Any:
    """torch in the words of the array API standard."""
    from sklearn.externals.array_api_compat import torch as xp

    return xp
