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
