"""Audio encoder: a 9-layer 2D CNN on log-mel and spatial features."""

from torch import Tensor, nn

from .recompute import run_recomputed

LAYERS_PER_BLOCK = 6  # that are recomputed together: two convolutions with norm and ReLU


class AudioEncoder(nn.Module):
    """One 7x7 convolution and four blocks of two 3x3 convolutions, then max pooling over time and frequency.

    The network of Morgado et al. 2020 and Wang et al. 2022.

    Attributes:
        recompute: Whether the backward pass recomputes the blocks.
    """

    def __init__(self, channels: int, width: int = 64) -> None:
        """Builds the network.

        Args:
            channels: Feature channels; 7 for FOA log-mel and intensity.
            width: Channels of the first layer, 64 in the papers; the last layer has 8 times as many.
        """
        super().__init__()
        self.embedding, self.recompute = 8 * width, False
        self.layers = nn.Sequential(
            nn.BatchNorm2d(channels),  # log-mel and intensity have very different ranges
            *_convolution(channels, width, kernel=7, stride=2),
            *_convolution(width, width), *_convolution(width, width),
            *_convolution(width, 2 * width, stride=2), *_convolution(2 * width, 2 * width),
            *_convolution(2 * width, 4 * width, stride=2), *_convolution(4 * width, 4 * width),
            *_convolution(4 * width, 8 * width), *_convolution(8 * width, 8 * width),
        )  # fmt: skip

    def forward(self, features: Tensor) -> Tensor:
        """Embeds features.

        Args:
            features: float32 [N, channels, n_mels, n_frames].

        Returns:
            float32 [N, 8 * width].
        """
        if self.recompute:
            begins = range(4, len(self.layers), LAYERS_PER_BLOCK)  # after the norm of the input and a convolution
            blocks = [self.layers[:4], *(self.layers[begin : begin + LAYERS_PER_BLOCK] for begin in begins)]
            return run_recomputed(blocks, features).amax(dim=(2, 3))
        return self.layers(features).amax(dim=(2, 3))


def _convolution(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> list[nn.Module]:
    """Returns a convolution with batch normalisation and ReLU."""
    return [
        nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    ]
