import pytest
import torch
from helpers.sound_scenes import RATE

from avsa_fast.data.field import CUTOFF, field_of


def test_covariance_of_white_noise_is_that_of_its_channels() -> None:
    generator = torch.Generator().manual_seed(0)
    mix = torch.randn(4, 4, generator=generator)
    field = field_of(mix @ torch.randn(4, 20 * RATE, generator=generator), RATE)
    assert field.covariance.shape[0] == 200
    assert (field.covariance.shape[1] - 1) * field.step == CUTOFF
    mean = field.between(100, CUTOFF).mean((0, 1))
    expected = (mix @ mix.T).double()
    # 200 windows of about 5 independent frames of 125 frequencies: 0.3 % of the largest variance, five times that
    assert float((mean / mean.trace() - expected / expected.trace()).abs().max()) < 0.015
    torch.testing.assert_close(field.energy, field.covariance.diagonal(dim1=2, dim2=3))


def test_a_tone_is_at_its_frequency() -> None:
    tone = torch.sin(2 * torch.pi * 1000 * torch.arange(RATE) / RATE)
    field = field_of(torch.stack([tone, 0 * tone, 0 * tone, 0.5 * tone]), RATE)
    energy = field.energy.sum(0)
    assert float(field.step * energy[:, 0].argmax()) == 1000
    assert float(energy[:, 3].sum() / energy[:, 0].sum()) == pytest.approx(0.25)
    near = field.between(900, 1100).sum((0, 1))
    assert float(near[0, 0] / energy[:, 0].sum()) == pytest.approx(1, abs=1e-3)  # the window's side lobes are outside
    assert float(near[0, 3] / near[0, 0]) == pytest.approx(0.5)
    assert float(field.speech.sum((0, 1))[0] / energy[:, 0].sum()) == pytest.approx(1, abs=1e-6)


def test_too_short_a_scene_has_no_windows() -> None:
    field = field_of(torch.zeros(4, 10), RATE)
    assert (len(field.covariance), len(field.speech), field.between(100).shape[1]) == (0, 0, 0)
