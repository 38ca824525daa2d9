"""From torch to the compiled kernels: loads them, calls them, and registers operations with torch."""

import os
from collections.abc import Callable, Sequence
from functools import wraps
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any, ParamSpec, cast

import torch
from torch import Tensor
from torch.autograd import forward_ad

from avsa_fast.errors import BuildError, UserError

from ._autograd import register_autograd

if TYPE_CHECKING:
    from avsa_fast import _C as _C
else:

    class _Kernels:
        """The contents of avsa_fast._C, loaded when first used."""

        def __getattr__(self, name: str) -> Any:
            value = getattr(load(), name)
            setattr(self, name, value)
            return value

    _C = _Kernels()

P = ParamSpec("P")

# Values of cudaError_t: cudaErrorInsufficientDriver, cudaErrorUnsupportedPtxVersion; cudaErrorNoKernelImageForDevice.
DRIVER_TOO_OLD, NO_KERNEL_IMAGE = (35, 222), 209
# Minimum Linux driver for each major version of CUDA, from NVIDIA's compatibility table.
MIN_DRIVERS = {"12": "525.60.13", "13": "580.65.06"}


class _Library(torch.library.Library):
    """A library whose operations refuse forward-mode derivatives, which torch takes as 0 for operations from Python."""

    def impl(self, op_name: Any, fn: Any, dispatch_key: str = "", **options: Any) -> None:
        if dispatch_key == "Autograd":  # what torch.library.register_autograd implements
            fn = _without_tangents(fn)
        super().impl(op_name, fn, dispatch_key, **options)


def _without_tangents(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, but an error for tensors of torch.func.jvp and torch.autograd.forward_ad."""

    @wraps(function)
    def checked(keyset: Any, *args: Any, **kwargs: Any) -> Any:
        if any(isinstance(x, Tensor) and forward_ad.unpack_dual(x).tangent is not None for x in args):
            raise NotImplementedError(
                "the operations of avsa_fast have no forward-mode derivatives (jvp, jacfwd, hessian, forward_ad): use "
                "torch.autograd.grad"
            )
        return function(keyset, *args, **kwargs)

    return checked


_library = _Library("avsa_fast", "DEF")


def load() -> ModuleType:
    """Loads avsa_fast._C.

    Raises:
        BuildError: The module cannot be loaded.
        UserError: AVSA_CPU_ISA is not the name of an instruction set.
    """
    try:
        module = import_module("avsa_fast._C")
    except ImportError as error:
        raise BuildError(
            f"avsa_fast's compiled kernels cannot be loaded ({error}): install the package (pip install .), "
            "and run outside its source folder unless the install is editable (pip install -e .)"
        ) from error
    isa = os.environ.get("AVSA_CPU_ISA")
    if isa is not None and isa not in module.ISAS:
        raise UserError(f"AVSA_CPU_ISA={isa}: must be one of {', '.join(module.ISAS)}")
    return module


def run(kernel: Callable[P, int], device: torch.device, *args: P.args, **kwargs: P.kwargs) -> int:
    """Calls a kernel for tensors on `device`; on CUDA, in the device's current stream.

    Returns:
        The kernel's result (_C.pyi): for most, bits for values of CPU tensors that are not finite.

    Raises:
        BuildError: This build has no kernel for the device.
        RuntimeError: CUDA reports an error.
    """
    if device.type == "cpu":
        return kernel(*args, **kwargs)
    try:
        with torch.cuda.device(device):
            stream = torch.cuda.current_stream().cuda_stream
            return cast(Any, kernel)(*args, **kwargs, stream=stream)
    except _C.NoDeviceKernels:
        raise BuildError(
            f"{kernel.__name__}: this build of avsa_fast has no CUDA kernels; AVSA_CUDA=ON pip install . builds them "
            "with nvcc, AVSA_CUDA=PYPI pip install . without"
        ) from None
    except _C.CudaError as error:
        raise _cuda_error(kernel.__name__, error.args[0]) from None


def _cuda_error(name: str, code: int) -> RuntimeError:
    """The exception for a cudaError_t; its message names the remedy if build and machine do not match."""
    build = _C.build_info()
    if code in DRIVER_TOO_OLD:
        runtime = str(build["cuda_runtime"])
        driver = MIN_DRIVERS.get(runtime.split(".")[0])
        needed = "a newer one" if driver is None else f"{driver} or newer"
        return BuildError(
            f"{name}: the NVIDIA driver is too old: this build of avsa_fast uses CUDA {runtime}, which needs {needed} "
            "(nvidia-smi shows yours); update the driver, or build avsa_fast with an nvcc of an older CUDA"
        )
    if code == NO_KERNEL_IMAGE:
        return BuildError(
            f"{name}: this build of avsa_fast has CUDA kernels for {build['cuda_archs']} only, none for this GPU; "
            "AVSA_CUDA_ARCHITECTURES=86-real pip install . builds for another, here of compute capability 8.6"
        )
    return RuntimeError(f"{name}: CUDA error {code}")


def register(
    kernel: Callable[..., Any],
    fake: Callable[..., Any],
    setup_context: Callable[[Any, SimpleNamespace, Any], None] | None = None,
    backward: Callable[..., dict[str, Tensor | None]] | None = None,
) -> Any:
    """Registers a function as the operation torch.ops.avsa_fast.NAME for CPU and CUDA tensors.

    Autocast is off in it and in its gradients: it would round products. Forward-mode derivatives are an error. A call
    costs 3 µs through torch.library.Library, 60 µs through torch.library.custom_op.

    Args:
        kernel: Function `_NAME`, whose annotated parameters give the operation's schema.
        fake: Called with the same arguments by keyword; returns empty outputs. `**_` takes those it does not use.
        setup_context: Called with the autograd context, the arguments by name and the output. `ctx.needs_grad` says by
            name which arguments need a gradient, here and in backward.
        backward: Called with the autograd context and the outputs' gradients; returns gradients by argument name.
            Made of differentiable operations, it can be differentiated again. Only operations whose inputs cannot
            require gradients have none.

    Returns:
        The operation.
    """
    name = kernel.__name__.removeprefix("_")
    _library.define(name + torch.library.infer_schema(kernel, mutates_args=()))
    for device in ("cpu", "cuda"):
        _library.impl(name, _without_autocast(kernel, device), device.upper())
    operation = getattr(torch.ops.avsa_fast, name).default
    names = [argument.name for argument in operation._schema.arguments]

    def by_name(values: Sequence[Any]) -> dict[str, Any]:
        return dict(zip(names, values, strict=True))

    torch.library.register_fake(f"avsa_fast::{name}", lambda *values: fake(**by_name(values)), lib=_library)
    if backward is None:
        return operation

    def set_up(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.needs_grad = by_name(ctx.needs_input_grad[: len(names)])  # torch adds an input of its own
        if setup_context is not None:
            setup_context(ctx, SimpleNamespace(**by_name(inputs)), output)

    def differentiate(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        device = next((grad.device.type for grad in grads if grad is not None), "cpu")
        with torch.autocast(device, enabled=False):
            found = backward(ctx, *grads)
        return tuple(found.get(name) for name in names)

    register_autograd(_library, operation, set_up, differentiate)
    return operation


def _without_autocast(kernel: Callable[..., Any], device: str) -> Callable[..., Any]:
    @wraps(kernel)
    def exact(*args: Any) -> Any:
        if not torch.is_autocast_enabled(device):
            return kernel(*args)
        with torch.autocast(device, enabled=False):
            return kernel(*args)

    return exact


def gradients(
    function: Callable[..., Tensor], inputs: dict[str, Tensor | None], needs_grad: dict[str, bool], grad: Tensor
) -> dict[str, Tensor | None]:
    """Differentiates a function written in PyTorch by running it again.

    Args:
        function: Called with the inputs by keyword.
        inputs: Tensors by name.
        needs_grad: Whether each argument needs a gradient; names that are not inputs are ignored.
        grad: Gradient of the function's result.

    Returns:
        Gradients by name, differentiable again if grad mode is enabled.
    """
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        wanted = {name: x for name, x in inputs.items() if x is not None and needs_grad[name]}
        found = torch.autograd.grad(function(**inputs), list(wanted.values()), grad, create_graph=again)
    return dict(zip(wanted, found, strict=True))
