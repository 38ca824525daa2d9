"""The compiled module: its stub, and its checks of arguments."""

import ast
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import avsa_fast
from avsa_fast.ops import _dispatch
from avsa_fast.ops._info_nce import PRECISIONS
from avsa_fast.spatial.harmonics import MAX_ORDER

STUB = ast.parse((Path(avsa_fast.__file__).parent / "_C.pyi").read_text(encoding="utf-8"))


@pytest.fixture
def module() -> ModuleType:
    return _dispatch.load()


def parameters(function: ast.FunctionDef) -> list[tuple[str, str, bool]]:
    """Name, role (Tensor, Sequence[Tensor], with or without None; "" for others), has a default: per parameter."""
    arguments = function.args
    assert not arguments.args
    found = []
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        assert argument.annotation is not None
        role = ast.unparse(argument.annotation).replace("torch.", "").replace("collections.abc.", "")
        found.append((argument.arg, role if "Tensor" in role else "", default is not None))
    return found


def test_stub_matches_the_module(module: ModuleType) -> None:
    names = set()
    for node in STUB.body:
        if isinstance(node, ast.FunctionDef) and node.name != "build_info":
            names.add(node.name)
            signature = getattr(module, node.name).__doc__.strip().splitlines()[0]
            (compiled,) = ast.parse(f"def {signature}: ...").body
            assert isinstance(compiled, ast.FunctionDef)
            assert parameters(node) == parameters(compiled), node.name
        elif isinstance(node, ast.AnnAssign):
            assert isinstance(node.target, ast.Name)
            names.add(node.target.id)
        elif isinstance(node, ast.ClassDef) and node.name != "BuildInfo":
            names.add(node.name)
            assert issubclass(getattr(module, node.name), RuntimeError)
    assert {name for name in vars(module) if not name.startswith("__")} == names | {"build_info"}


def test_stub_lists_build_info_keys(module: ModuleType) -> None:
    classes = {node.name: node for node in STUB.body if isinstance(node, ast.ClassDef)}
    keys = [node for node in classes["BuildInfo"].body if isinstance(node, ast.AnnAssign)]
    assert set(module.build_info()) == {ast.unparse(node.target) for node in keys}
    assert module.MAX_ORDER == MAX_ORDER
    assert module.PRECISIONS == PRECISIONS


def mix(module: ModuleType, **changed: Any) -> int:
    arguments = {"signals": torch.ones(2, 4, 5), "matrix": torch.ones(2, 3, 4), "out": torch.empty(2, 3, 5)}
    return module.mix(**{**arguments, "by_order": False, **changed})


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"matrix": torch.ones(3, 4)}, r"matrix must be \[2, 3, 4\], not \[3, 4\]"),
        ({"matrix": torch.ones(4)}, r"matrix must have at least 2 dimensions, not \[4\]"),
        ({"out": torch.ones(2, 3, 6)}, r"out must be \[2, 3, 5\], not \[2, 3, 6\]"),
        ({"out": torch.ones(2, 3, 5).double()}, "out must be float32, not float64"),
        ({"signals": torch.ones(2, 4, 5).int()}, "signals must be float16 or bfloat16 or float32 or float64, not uns"),
        ({"signals": torch.ones(2, 5, 4).mT}, "signals must be contiguous"),
        ({"by_order": True}, "matrix must have a multiple of C rows with by_order"),
    ],
)
def test_mismatched_arguments_are_refused(module: ModuleType, changed: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=f"^{line}"):
        mix(module, **changed)


def test_arguments_are_keyword_only_tensors(module: ModuleType) -> None:
    assert mix(module) == 0
    for arguments in ({"signals": [[1.0]]}, {"out": None}, {"order": 1}):
        with pytest.raises(TypeError):
            mix(module, **arguments)
    with pytest.raises(TypeError):
        module.mix(torch.ones(1, 1), torch.ones(1, 1), torch.ones(1, 1), False)


def test_views_with_storage_offset(module: ModuleType) -> None:
    signals, out = torch.arange(24.0).view(3, 2, 4), torch.empty(2, 1, 4)
    module.mix(signals=signals[1:], matrix=torch.tensor([[[1.0, 0]], [[0.0, 1]]]), out=out, by_order=False)
    assert torch.equal(out[:, 0], torch.stack([signals[1, 0], signals[2, 1]]))
    module.mix(signals=torch.nn.Parameter(signals[:2]), matrix=torch.ones(2, 1, 2), out=out, by_order=False)
    assert torch.equal(out[:, 0], signals[:2].sum(1))
