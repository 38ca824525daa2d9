"""torch.compile and torch.export."""

import io
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._dynamo.backends.registry import lookup_backend

from ..operations import Call, Entry
from .modules import WithArguments, WithOptions
from .registry import COMPILED, assert_all_near, use

MAX_COMPILATIONS = 2  # over changing shapes: one for the first shapes, one for all others
SHAPES = 3  # the third must not compile again


class Counted:
    """A backend that counts the graphs it compiles."""

    def __init__(self, name: str) -> None:
        self.backend = lookup_backend(name)
        self.count = 0

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        compiled = self.backend(*arguments, **options)
        self.count += 1  # not before: torch starts again for operations of symbolic floats
        return compiled


def _assert_compiles(
    entry: Entry, device: torch.device, backend: str, caller: str, modes: tuple[bool | None, ...]
) -> None:
    """Results and gradients of whole graphs, of changing shapes, for each value of torch.compile's `dynamic`."""
    calls = [entry(entry.grown(steps)).to(device) for steps in range(SHAPES)]
    for dynamic in modes:
        torch._dynamo.reset()
        counted = Counted(backend)
        compiled = torch.compile(_callable(caller, calls[0]), fullgraph=True, dynamic=dynamic, backend=counted)
        # torch's cache of gradients' graphs does not notice changes of an operation's gradient.
        with torch._functorch.config.patch(enable_autograd_cache=False):
            for call in calls:
                assert_all_near(call.outputs(compiled), call.outputs(), call)
        assert counted.count <= MAX_COMPILATIONS, f"{counted.count} compilations, dynamic={dynamic}, {caller}"
    torch._dynamo.reset()


def _callable(caller: str, call: Call) -> Callable[..., Tensor]:
    function, module = call.function, WithArguments(call.operation)
    callables: dict[str, Callable[..., Tensor]] = {
        "function": lambda **arguments: function(**arguments), "method": module.method, "module": module
    }  # fmt: skip
    return callables[caller]


def _by(backend: str, caller: str, *modes: bool | None) -> Callable[[Entry, torch.device], None]:
    return lambda entry, device: _assert_compiles(entry, device, backend, caller, modes)


_SHAPES = f"changing shapes, at most {MAX_COMPILATIONS} compilations"
# Inductor takes minutes. None gives it fixed, then symbolic shapes; True adds only what precedes the backend.
_MODES: dict[str, tuple[bool | None, ...]] = {"eager": (None, True), "aot_eager": (None, True), "inductor": (None,)}
for _backend, _modes in _MODES.items():
    use(
        f"compile function {_backend}",
        COMPILED,
        f'`torch.compile(function, backend="{_backend}")`: {_SHAPES}',
        slow=True,
    )(_by(_backend, "function", *_modes))
# Callers differ in what precedes the backend.
use("compile method", COMPILED, f"`torch.compile` of a method: {_SHAPES}", slow=True)(_by("eager", "method", None))
use("compile module", COMPILED, f"`torch.compile` of a module: {_SHAPES}", slow=True)(_by("eager", "module", None))


@use("compile", COMPILED, "`torch.compile(function, fullgraph=True)`: a whole graph")
def one_shape(entry: Entry, device: torch.device) -> None:
    torch._dynamo.reset()
    call = entry().to(device)
    backend = "inductor" if device.type == "cuda" else "aot_eager"
    compiled = torch.compile(call.function, fullgraph=True, backend=backend)
    assert_all_near(call.outputs(compiled), call.outputs(), call)


@use("export", COMPILED, "`torch.export`, saved and loaded", slow=True)
def export(entry: Entry, device: torch.device) -> None:
    """With fixed and with dynamic shapes."""
    call, other = entry().to(device), entry(entry.grown(1)).to(device)
    for strict in (False, True):
        for dynamic in (False, True):
            torch._dynamo.reset()
            calls = (call, other) if dynamic else (call,)
            module, inputs = WithOptions(call), WithOptions.inputs(call)
            shapes = {"inputs": _dynamic(inputs)} if dynamic else None
            program = torch.export.export(module, (inputs,), strict=strict, dynamic_shapes=shapes)
            file = io.BytesIO()
            torch.export.save(program, file)
            file.seek(0)
            loaded = torch.export.load(file).module()
            for each in calls:
                assert_all_near([loaded(WithOptions.inputs(each))], [each()], each)


def _dynamic(value: Any) -> Any:
    """Dimensions of all tensors in arguments, as torch finds them to be dynamic."""
    if isinstance(value, Tensor):
        return dict.fromkeys(range(value.ndim), torch.export.Dim.AUTO)
    if isinstance(value, dict):
        return {name: _dynamic(part) for name, part in value.items()}
    return tuple(map(_dynamic, value)) if isinstance(value, tuple) else None
