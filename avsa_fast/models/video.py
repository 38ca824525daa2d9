"""Video encoder: torchvision's R(2+1)D-18 trunk with configurable width and depth."""

from collections.abc import Sequence
from itertools import chain
from typing import Literal

from torch import Tensor, nn
from torchvision.models.video.resnet import BasicBlock, Conv2Plus1D

from .recompute import run_recomputed


class VideoEncoder(nn.Module):
    """R(2+1)D (Tran et al. 2018) without its classifier.

    With the default sizes, weights have the names and shapes of torchvision's r2plus1d_18.

    Attributes:
        recompute: Whether the backward pass recomputes the residual blocks.
    """

    def __init__(
        self, width: int = 64, blocks: Sequence[int] = (2, 2, 2, 2), pooling: Literal["mean", "max"] = "mean"
    ) -> None:
        """Builds the network with Kaiming-initialised convolutions.

        Args:
            width: Channels of the first stage, 64 in R(2+1)D-18; the last stage has 8 times as many.
            blocks: Residual blocks in each of the 4 stages, 2 in R(2+1)D-18.
            pooling: Whether the embedding is the mean or the maximum over time and picture.
        """
        super().__init__()
        self.embedding, self.pooling, self.recompute = 8 * width, pooling, False
        middle = 45 * width // 64  # keeps the parameter count of a full 3D stem, as in the paper
        self.stem = nn.Sequential(
            nn.Conv3d(3, middle, (1, 7, 7), stride=(1, 2, 2), padding=(0, 3, 3), bias=False),
            nn.BatchNorm3d(middle),
            nn.ReLU(inplace=True),
            nn.Conv3d(middle, width, (3, 1, 1), padding=(1, 0, 0), bias=False),
            nn.BatchNorm3d(width),
            nn.ReLU(inplace=True),
        )
        self.layer1 = _stage(width, width, blocks[0], stride=1)
        self.layer2 = _stage(width, 2 * width, blocks[1], stride=2)
        self.layer3 = _stage(2 * width, 4 * width, blocks[2], stride=2)
        self.layer4 = _stage(4 * width, 8 * width, blocks[3], stride=2)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, clips: Tensor) -> Tensor:
        """Embeds clips.

        Args:
            clips: float32 [N, 3, F, h, w], normalised.

        Returns:
            float32 [N, 8 * width].
        """
        if self.recompute:
            blocks = chain([self.stem], self.layer1, self.layer2, self.layer3, self.layer4)
            x = run_recomputed(blocks, clips)
        else:
            x = self.layer4(self.layer3(self.layer2(self.layer1(self.stem(clips)))))
        return x.mean(dim=(2, 3, 4)) if self.pooling == "mean" else x.amax(dim=(2, 3, 4))


def _stage(inputs: int, outputs: int, blocks: int, stride: int) -> nn.Sequential:
    """Builds one stage of residual blocks."""
    shortcut = None
    if stride != 1 or inputs != outputs:
        shortcut = nn.Sequential(nn.Conv3d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm3d(outputs))
    first = BasicBlock(inputs, outputs, Conv2Plus1D, stride, shortcut)
    return nn.Sequential(first, *(BasicBlock(outputs, outputs, Conv2Plus1D) for _ in range(blocks - 1)))
