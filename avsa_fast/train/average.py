"""Moving average of a model's weights, which is often better than the last weights."""

import copy

import torch

from avsa_fast.models import Model


class Average:
    """Exponential moving average of the weights and running statistics of a model.

    Attributes:
        model: The averaged model, in evaluation mode.
    """

    def __init__(self, model: Model, decay: float) -> None:
        """Starts with a copy of the model.

        Args:
            model: Model to average.
            decay: Share of the average that an update keeps.
        """
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def update(self, model: Model, step: int) -> None:
        """Adds a model to the average.

        Args:
            model: The model after a step.
            step: Number of the step; in the first ones the decay is (1 + step) / (10 + step), if that is lower.
        """
        weight = 1 - min(self._decay, (1 + step) / (10 + step))
        for value, new in zip(self.model.state_dict().values(), model.state_dict().values(), strict=True):
            if value.is_floating_point():
                value.lerp_(new, weight)
            else:
                value.copy_(new)
