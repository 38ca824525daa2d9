"""BatchNorm with statistics that stay those of the first batch."""

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from avsa_fast.models import Model

from .feed import StepInputs
from .ranks import Ranks


@torch.no_grad()
def measure_statistics(model: Model, inputs: StepInputs, ranks: Ranks) -> None:
    """Sets the running statistics of all BatchNorm to those of the first rank's batch, layer by layer.

    Args:
        model: Model with frozen statistics.
        inputs: Encoder inputs of this rank.
        ranks: Ranks that train together; all of them must call this.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.train()
        norm.momentum = 1.0  # the batch's statistics alone
    model(inputs.crops, inputs.features)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.eval()
        norm.momentum = momentum
    ranks.copy_first(value for norm in norms for value in norm.buffers())
