"""Multiple devices: kernels run on the device of their tensors, whichever device is current."""

import pytest
import torch
from helpers.operations import CALLS, assert_as_expected

pytestmark = pytest.mark.cuda


@pytest.mark.parametrize("name", CALLS)
def test_runs_on_the_tensors_device(cuda_device: torch.device, name: str) -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("one CUDA device")
    last = torch.device("cuda", torch.cuda.device_count() - 1)
    torch.cuda.set_device(0)
    call = CALLS[name]().to(last)
    outputs = call.outputs()
    assert all(x.device == last for x in outputs)
    assert torch.cuda.current_device() == 0
    assert_as_expected(outputs[0], call)
