"""The networks: shapes, the paper's sizes, and losses that depend on the right inputs."""

from dataclasses import replace

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.models.video import r2plus1d_18

from avsa_fast.models import AudioEncoder, Embeddings, Model, ModelConfig, VideoEncoder

SMALL = ModelConfig(audio_channels=7, video_width=8, video_blocks=(1, 1, 1, 1), audio_width=8, transformer_ffn=32)


def test_video_encoder_matches_torchvision() -> None:
    theirs = r2plus1d_18().eval()
    theirs.fc = torch.nn.Identity()
    ours = VideoEncoder().eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    clips = torch.randn(1, 3, 8, 32, 32)
    torch.testing.assert_close(ours(clips), theirs(clips))
    assert ours.embedding == 512


def test_audio_encoder_has_9_layers_and_512_outputs() -> None:
    encoder = AudioEncoder(channels=7)
    assert sum(isinstance(module, torch.nn.Conv2d) for module in encoder.modules()) == 9
    assert encoder.eval()(torch.randn(2, 7, 128, 98)).shape == (2, 512)


def test_shapes_of_embeddings_and_predictions() -> None:
    model = Model(SMALL).eval()
    embeddings = model(torch.randn(2, 4, 3, 8, 16, 16), torch.randn(2, 4, 7, 64, 98))
    assert embeddings.video.shape == embeddings.audio.shape == (2, 4, 64)
    assert embeddings.video_projection.shape == embeddings.audio_projection.shape == (2, 4, 128)
    assert [x.shape for x in model.predictions(embeddings)] == [(2, 4, 128)] * 2


def test_predictions_are_equivariant_to_crop_order() -> None:
    """Without positional encoding, permuted crops give permuted predictions."""
    model = Model(SMALL).eval()
    embeddings = Embeddings(*(torch.randn(3, 4, n) for n in (64, 64, 128, 128)))
    order = torch.tensor([2, 0, 3, 1])
    permuted = Embeddings(*(x[:, order] for x in embeddings))
    for before, after in zip(model.predictions(embeddings), model.predictions(permuted), strict=True):
        torch.testing.assert_close(before[:, order], after, rtol=1e-4, atol=1e-5)


def test_avc_loss_is_small_for_matching_pairs() -> None:
    model = Model(SMALL)
    projection = torch.eye(8, 128)[:, None]
    matched = Embeddings(torch.zeros(8, 1, 64), torch.zeros(8, 1, 64), projection, projection)
    mixed = matched._replace(audio_projection=projection.roll(1, 0))
    assert model.avc_loss(matched, 0.07) < 1e-3
    assert model.avc_loss(mixed, 0.07) > 10


def test_avsa_loss_reaches_every_weight() -> None:
    model = Model(SMALL)
    embeddings = model(torch.randn(2, 4, 3, 8, 16, 16), torch.randn(2, 4, 7, 64, 98))
    model.avsa_loss(embeddings, model.predictions(embeddings), 0.07).backward()
    untouched = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # A key bias adds the same value to every logit of a softmax, so its gradient is zero up to rounding.
    assert [name for name in untouched if "in_proj_bias" not in name] == []


def test_avc_loss_does_not_reach_transformers() -> None:
    model = Model(SMALL)
    embeddings = model(torch.randn(4, 1, 3, 8, 16, 16), torch.randn(4, 1, 7, 64, 98))
    model.avc_loss(embeddings, 0.07).backward()
    touched = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None}
    assert touched == {"video_encoder", "audio_encoder", "video_head", "audio_head"}


def test_video_pooling() -> None:
    """The maximum over time and picture of the same maps whose mean is the other embedding."""
    mean, largest = VideoEncoder(8, (1, 1, 1, 1)).eval(), VideoEncoder(8, (1, 1, 1, 1), "max").eval()
    largest.load_state_dict(mean.state_dict())
    clips, maps = torch.randn(2, 3, 8, 32, 32), []
    mean.layer4.register_forward_hook(lambda module, inputs, output: maps.append(output))
    torch.testing.assert_close(mean(clips), maps[0].flatten(2).mean(dim=2))
    torch.testing.assert_close(largest(clips), maps[0].flatten(2).max(dim=2).values)


def test_group_norm_does_not_see_other_samples() -> None:
    """In training mode, a sample's embedding is that of a batch of one, and no layer is a BatchNorm."""
    model = Model(replace(SMALL, norm="group")).train()
    assert not [module for module in model.modules() if isinstance(module, _BatchNorm)]
    groups = {module.num_channels: module.num_groups for module in model.modules() if isinstance(module, nn.GroupNorm)}
    assert (groups[7], groups[8], groups[64]) == (7, 1, 8)
    crops, features = torch.randn(3, 1, 3, 8, 16, 16), torch.randn(3, 1, 7, 64, 98)
    together, alone = model(crops, features), model(crops[:1], features[:1])
    for one, other in zip(alone, together, strict=True):
        torch.testing.assert_close(one, other[:1], rtol=1e-4, atol=1e-5)
    assert together.video.std() > 0.01


def test_frozen_statistics_stay() -> None:
    model = Model(SMALL)
    model.frozen_statistics = True
    before = {name: value.clone() for name, value in model.named_buffers()}
    model.train()(torch.randn(2, 1, 3, 8, 16, 16), torch.randn(2, 1, 7, 64, 98))
    assert all(torch.equal(value, before[name]) for name, value in model.named_buffers())
    assert model.video_to_audio.training
