"""Operations per sample and the device's peak matrix rate, from which utilisation is computed."""

import copy
import time

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from avsa_fast.config import Stage
from avsa_fast.models import Model


def flops_per_sample(model: Model, stage: Stage, crops: torch.Tensor, features: torch.Tensor) -> float:
    """Counts the operations of convolutions and matrix products per sample, forward and backward.

    Args:
        model: Model to count; it is copied to the meta device, so nothing is computed.
        stage: "avc", or "avsa", which includes the transformers.
        crops: [B, K, 3, F, h, w]; only the shape after the first dimension matters.
        features: [B, K, channels, n_mels, n_frames]; likewise.

    Returns:
        Floating-point operations per sample.
    """
    samples = 2
    copied = copy.deepcopy(model).to("meta")
    for module in copied.modules():
        if isinstance(module, nn.SyncBatchNorm):
            module.eval()  # its training mode needs a GPU
    copied.video_encoder.recompute = copied.audio_encoder.recompute = False  # what is computed again is not counted
    inputs = [x[:1].expand(samples, *x.shape[1:]).to("meta", torch.float32) for x in (crops, features)]
    with FlopCounterMode(display=False) as counter:
        embeddings = copied(*inputs)
        outputs = embeddings[2:] if stage == "avc" else copied.predictions(embeddings)
        (outputs[0].sum() + outputs[1].sum()).backward()
    return float(counter.get_total_flops()) / samples


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Measures the operations per second of a large matrix product, best of three runs.

    Args:
        device: Device to measure.
        dtype: Type of the matrices.

    Returns:
        Floating-point operations per second.
    """
    n = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
    seconds = []
    for _ in range(4):  # the first is a warm-up
        began = time.perf_counter()
        a @ b
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - began)
    return 2 * n**3 / min(seconds[1:])
