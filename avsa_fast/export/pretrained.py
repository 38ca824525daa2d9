"""Trained network as a Hugging Face hub model: config.json and model.safetensors in a folder or repository.

    from avsa_fast.export import Pretrained
    model = Pretrained.from_pretrained("my_export")          # or "user/repository"
    video = model.network.video_encoder(crops)               # [N, 3, F, h, w] -> [N, E]

Needs the extra `export`.
"""

from typing import Any

from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn

from avsa_fast.data.samples import SampleConfig
from avsa_fast.data.views import ViewConfig
from avsa_fast.models import Embeddings, Model, ModelConfig


class Pretrained(
    nn.Module,
    PyTorchModelHubMixin,
    library_name="avsa_fast",
    license="apache-2.0",
    tags=["audio", "video", "spatial-audio", "ambisonics", "self-supervised"],
):
    """A run's network and the configuration of its inputs. The hub mixin saves the arguments in config.json.

    Args:
        model: Sizes of the network.
        views: How crops and features are computed.
        stages: Training stages of the run, "avc" or "both"; mentioned in the model card.
        samples: Frames and sound that a sample consists of.
    """

    def __init__(
        self, model: ModelConfig, views: ViewConfig, stages: str = "both", samples: SampleConfig = SampleConfig()
    ) -> None:
        super().__init__()
        self.network = Model(model)
        self.views, self.stages, self.samples = views, stages, samples

    def forward(self, crops: Tensor, features: Tensor) -> Embeddings:
        """Computes embeddings and projections, as `avsa_fast.models.Model` does.

        Args:
            crops: float32 [B, K, 3, F, h, w].
            features: float32 [B, K, channels, n_mels, n_frames].

        Returns:
            Embeddings and projections of both modalities.
        """
        return self.network(crops, features)

    def generate_model_card(self, *args: Any, **kwargs: Any) -> Any:
        """Creates the hub's model card, with a description of the inputs."""
        card = super().generate_model_card(*args, **kwargs)
        views = self.views
        card.text = f"""
# avsa_fast: spatially aware audio and video embeddings

Audio and video encoders trained without labels by audio-visual correspondence{
            " and spatial alignment" if self.stages == "both" else ""
        }
(after Wang, Politis, Mesaros and Virtanen, IEEE JSTSP 2022).

```python
from avsa_fast.export import Pretrained

model = Pretrained.from_pretrained("path or repository").eval()
video = model.network.video_encoder(crops)     # [N, 3, F, {views.crop_size}, {views.crop_size}] -> [N, {
            self.network.video_encoder.embedding
        }]
audio = model.network.audio_encoder(features)  # [N, {self.network.audio_encoder.layers[0].num_features}, {
            views.n_mels
        }, frames] -> [N, {self.network.audio_encoder.embedding}]
```

Crops are computed by `avsa_fast.ops.gnomonic` from 360° frames, normalised by Kinetics' mean and deviation. Features
are computed by `avsa_fast.ops.spatial_features` from 1 s at 24 kHz, W Y Z X (ACN, SN3D): view "{views.audio}", n_fft {
            views.n_fft
        }, hop {views.hop_length}, {views.n_mels} mels.
"""
        return card
