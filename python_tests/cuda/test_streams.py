"""CUDA streams and graphs: kernels run in the current stream, and can be captured."""

import pytest
import torch
from helpers.operations import CALLS, assert_as_expected, factors, tolerance

pytestmark = pytest.mark.cuda
CYCLES = 10_000_000  # some milliseconds, in which a kernel in another stream would finish


@pytest.mark.parametrize("name", CALLS)
def test_runs_in_the_current_stream(cuda_device: torch.device, name: str) -> None:
    """Arguments are written late in a side stream, so that only a kernel in that stream reads the right values."""
    call = CALLS[name]().to(cuda_device)
    call()  # runs the setup that is done once per process
    side = torch.cuda.Stream()
    torch.cuda.synchronize()
    with torch.cuda.stream(side):
        late = call.mapped(torch.zeros_like)
        torch.cuda._sleep(CYCLES)
        for old, new in zip(late.tensors, call.tensors, strict=True):
            old.copy_(new)
        out = late()
    side.synchronize()
    assert_as_expected(out, call)


@pytest.mark.parametrize("name", CALLS)
def test_gradients_are_captured_and_replayed(cuda_device: torch.device, name: str) -> None:
    """A graph of forward and backward pass gives the gradients of the eager call, for other values too."""
    call, other = CALLS[name]().to(cuda_device), CALLS[name]().to(cuda_device)
    if not call.leaves:
        pytest.skip("no gradients")
    want = other.outputs()
    inputs = {leaf: call.arguments[leaf].detach().clone().requires_grad_() for leaf in call.leaves}

    def step() -> list[torch.Tensor]:
        out = call.function(**{**call.arguments, **inputs})
        return [out.detach(), *torch.autograd.grad(out, list(inputs.values()), factors(out))]

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = step()
    for old, new in zip(call.tensors, other.tensors, strict=True):
        old.copy_(new)
    for leaf, x in inputs.items():
        x.data.copy_(other.arguments[leaf])
    graph.replay()
    for x, y in zip(found, want, strict=True):
        torch.testing.assert_close(x, y, rtol=0, atol=tolerance(call, x.dtype) * y.abs().max().item())


@pytest.mark.parametrize("name", CALLS)
def test_graph_is_captured_and_replayed(cuda_device: torch.device, name: str) -> None:
    """A graph replayed with new values copied into its arguments gives the new results."""
    call, other = CALLS[name]().to(cuda_device), CALLS[name]().to(cuda_device)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = call()
    for old, new in zip(call.tensors, other.tensors, strict=True):
        old.copy_(new)
    for _ in range(2):
        out.fill_(0 if not out.is_floating_point() else torch.nan)
        graph.replay()
        assert_as_expected(out, other)
