"""A GPU that is not there: tensors that say they are on `cuda:0` and are computed on the CPU.

Inside `PretendGpu` whatever is made on or moved to "cuda" becomes a `GpuTensor`. An operation over tensors of both
kinds is the error it is on a GPU, with the same exception: a number (a tensor without axes) may stay on the CPU, and so
may an index. Results are real, so that they can be compared.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

GPU = torch.device("cuda:0")
_INDEXING = {torch.ops.aten.index, torch.ops.aten.index_put_, torch.ops.aten.index_put}
_PINNED = {torch.ops.aten.is_pinned, torch.ops.aten.pin_memory, torch.ops.aten._pin_memory}


class GpuTensor(torch.Tensor):
    """A tensor of the CPU, `inner`, that says it is on a GPU."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> GpuTensor:
        made = torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, inner.stride(), inner.storage_offset(), dtype=inner.dtype, device=GPU
        )
        made.inner = inner
        return made

    def __repr__(self) -> str:
        return f"GpuTensor({self.inner!r})"

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class PretendGpu(TorchDispatchMode):
    """Inside, "cuda" is a device."""

    def __enter__(self) -> PretendGpu:
        # Torch starts CUDA when a device of that name is first given: where there is none, nothing is started.
        self._lazy_init = torch.cuda._lazy_init
        if not torch.cuda.is_available():
            torch.cuda._lazy_init = lambda: None
            torch._C._ensureCUDADeviceGuardSet()  # as FakeTensorMode does: choosing a GPU then does nothing
        # Tensors that wrap others cannot be made in inference mode.
        self._inference_mode, torch.inference_mode = torch.inference_mode, torch.no_grad
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        torch.cuda._lazy_init, torch.inference_mode = self._lazy_init, self._inference_mode
        super().__exit__(*error)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """One operation: on which device its result lies, and whether its tensors may meet."""
    if func.overloadpacket in _PINNED:  # nothing to be pinned for
        return True if func.overloadpacket is torch.ops.aten.is_pinned else args[0]
    given = [value for value in tree_flatten((args, kwargs))[0] if torch.is_tensor(value)]
    on_gpu = any(isinstance(value, GpuTensor) for value in given)
    devices = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, torch.device)]
    if devices:
        on_gpu = devices[0].type == "cuda"
        args, kwargs = (tree_map(_on_cpu, some) for some in (args, kwargs))
    elif func is torch.ops.aten.to.other:
        on_gpu = isinstance(args[1], GpuTensor)
    elif func.overloadpacket is not torch.ops.aten.copy_:
        checked = [args[0]] if func.overloadpacket in _INDEXING else given
        met = {isinstance(value, GpuTensor) for value in checked if torch.is_tensor(value) and value.ndim}
        if met == {True, False} or (on_gpu and met == {False}):
            raise RuntimeError(f"Expected all tensors to be on the same device: {func}")
    given = [value for value in given if isinstance(value, GpuTensor) == on_gpu]
    made = func(*tree_map(_inner, args), **tree_map(_inner, kwargs))
    # In place, or into `out`: the tensor that was given is the result.
    same = {id(_inner(value)): value for value in given}
    return tree_map(lambda one: same.get(id(one), _wrapped(one, on_gpu)) if torch.is_tensor(one) else one, made)


def _inner(value: Any) -> Any:
    return value.inner if isinstance(value, GpuTensor) else value


def _on_cpu(value: Any) -> Any:
    return torch.device("cpu") if isinstance(value, torch.device) else value


def _wrapped(value: torch.Tensor, on_gpu: bool) -> torch.Tensor:
    return GpuTensor(value) if on_gpu else value


def moved(model: torch.nn.Module) -> torch.nn.Module:
    """The model with its weights on the GPU; `Module.to` would change the tensors it has instead of replacing them."""
    for module in model.modules():
        for name, weight in module._parameters.items():
            if weight is not None:
                module._parameters[name] = torch.nn.Parameter(GpuTensor(weight.detach()), requires_grad=False)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = GpuTensor(buffer)
    return model
