"""Modules that use an operation."""

from typing import Any

import torch
from torch import Tensor, nn

from avsa_fast import ops

from ..operations import Call, factors


class WithArguments(nn.Module):
    """Calls an operation with its own arguments."""

    def __init__(self, operation: str) -> None:
        super().__init__()
        self.operation = operation

    def forward(self, **arguments: Any) -> Tensor:
        return self.method(**arguments)

    def method(self, **arguments: Any) -> Tensor:
        return getattr(ops, self.operation)(**arguments)


class WithOptions(nn.Module):
    """Calls an operation with its tensors, and options that the module holds.

    torch.export takes tensors in one dict: guards of its programs of `**inputs` name a variable that does not exist.
    """

    def __init__(self, call: Call) -> None:
        super().__init__()
        self.operation = call.operation
        self.options = {name: value for name, value in call.arguments.items() if not _holds_tensors(value)}

    @staticmethod
    def inputs(call: Call) -> dict[str, Any]:
        return {name: value for name, value in call.arguments.items() if _holds_tensors(value)}

    def forward(self, inputs: dict[str, Any]) -> Tensor:
        return getattr(ops, self.operation)(**inputs, **self.options)


def _holds_tensors(value: Any) -> bool:
    return any(isinstance(part, Tensor) for part in (value if isinstance(value, tuple) else (value,)))


class WithParameters(nn.Module):
    """Calls an operation with parameters and options that the module holds."""

    def __init__(self, call: Call) -> None:
        super().__init__()
        self.operation, self.leaves = call.operation, call.leaves
        self.parameters_by_name = nn.ParameterDict()
        self.options: dict[str, Any] = {}
        for name, value in call.arguments.items():
            if isinstance(value, Tensor) and value.is_floating_point():
                parameter = nn.Parameter(value.detach().clone(), requires_grad=name in call.leaves)
                self.parameters_by_name[name] = parameter
            else:
                self.options[name] = value

    def forward(self) -> Tensor:
        return getattr(ops, self.operation)(**self.parameters_by_name, **self.options)

    def outputs(self) -> list[Tensor]:
        """The result, and the gradients of the leaves, as of Call.outputs."""
        out = self()
        leaves = [self.parameters_by_name[name] for name in self.leaves]
        return [out.detach(), *(torch.autograd.grad(out, leaves, factors(out)) if leaves else [])]
