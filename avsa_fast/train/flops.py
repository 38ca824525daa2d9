"""How much arithmetic a sample takes, and how much the device could do: utilisation is their quotient."""

import copy
import time

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from avsa_fast.models import Model

from .config import Stage


def flops_a_sample(model: Model, stage: Stage, crops: torch.Tensor, features: torch.Tensor) -> float:
    """Operations of convolutions and matrix products, forward and backward, of one of the samples that are given."""
    samples = 2
    twin = copy.deepcopy(model).to("meta")  # counts without computing
    for module in twin.modules():
        if isinstance(module, nn.SyncBatchNorm):
            module.eval()
    shape = [x[:1].expand(samples, *x.shape[1:]).to("meta", torch.float32) for x in (crops, features)]
    with FlopCounterMode(display=False) as counter:
        embeddings = twin(*shape)
        outputs = embeddings[2:] if stage == "avc" else twin.predictions(embeddings)
        (outputs[0].sum() + outputs[1].sum()).backward()
    return float(counter.get_total_flops()) / samples


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of a large matrix product on the device, in the best of three goes."""
    n = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
    seconds = []
    for _ in range(4):  # the first warms up
        began = time.perf_counter()
        a @ b
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - began)
    return 2 * n**3 / min(seconds[1:])
