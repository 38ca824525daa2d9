"""GroupNorm (Wu and He 2018) in place of BatchNorm."""

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

MAX_GROUPS, MIN_CHANNELS = 32, 8  # of a layer; channels per group, so that small maps have enough values


def use_group_norm(module: nn.Module) -> None:
    """Replaces each BatchNorm in a module by GroupNorm, with the most groups that divide the channels evenly.

    Args:
        module: The module, which is changed.
    """
    for name, child in module.named_children():
        if isinstance(child, _BatchNorm):
            setattr(module, name, nn.GroupNorm(_groups(child.num_features), child.num_features))
        else:
            use_group_norm(child)


def _groups(channels: int) -> int:
    """Greatest number of equal groups within the bounds; 1 if there is no other."""
    most = max(1, min(MAX_GROUPS, channels // MIN_CHANNELS))
    return next(groups for groups in range(most, 0, -1) if channels % groups == 0)
