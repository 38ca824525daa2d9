"""Maps over the ERP frame: cells follow the conventions, and peaks are where sound comes from."""

from dataclasses import replace
from math import pi

import pytest
import torch

from avsa_fast import ops
from avsa_fast.maps import similarity
from avsa_fast.maps.grid import erp_grid
from avsa_fast.models import Model
from avsa_fast.run import Run

FRAMES = torch.randint(0, 256, (8, 64, 128, 3), dtype=torch.uint8)
SIZE = (6, 12)


def cell(direction: torch.Tensor, size: tuple[int, int]) -> tuple[int, int]:
    """Row and column of the ERP cell that contains a direction, by the formula of the conventions."""
    azimuth, elevation = direction.tolist()
    return int((0.5 - elevation / pi) * size[0]), int((0.5 - azimuth / (2 * pi)) * size[1]) % size[1]


def test_a_grid_is_where_the_conventions_say() -> None:
    grid = erp_grid((4, 8))
    assert grid.shape == (4, 8, 2)
    assert grid[0, 0].tolist() == pytest.approx([pi * 7 / 8, pi * 3 / 8])
    for row in range(4):
        for column in range(8):
            assert cell(grid[row, column], (4, 8)) == (row, column)


def test_group_by_quarter_turns_group_and_ungroup() -> None:
    grid = erp_grid(SIZE)
    groups = similarity._group_by_quarter_turns(grid)
    steps = (groups[:, 1:, 0] - groups[:, :-1, 0]) % (2 * pi)
    torch.testing.assert_close(steps, torch.full_like(steps, pi / 2))
    assert (groups[..., 1] == groups[:, :1, 1]).all()
    torch.testing.assert_close(similarity._ungroup(groups[..., 0], SIZE), grid[..., 0])
    with pytest.raises(ValueError, match="multiple of 4"):
        similarity._group_by_quarter_turns(erp_grid((6, 10)))


@pytest.mark.parametrize("stages", ["both", "avc"])
def test_each_cell_compares_its_own_crop_and_sound(run: Run, stages: str) -> None:
    """A cell's value equals the model's similarity for that direction's views, computed separately."""
    run = replace(run, config=replace(run.config, stages=stages))
    sound = torch.randn(4, 24000)
    found = similarity.similarity_map(run, FRAMES, sound, size=SIZE)
    assert found.shape == SIZE
    direction = erp_grid(SIZE)[2, 7]
    turned = torch.stack([direction + torch.tensor([turn * pi / 2, 0]) for turn in range(4)])[None]
    seen = similarity._embed_groups(run.video, FRAMES, sound, turned, run)
    heard = similarity._embed_groups(run.audio, FRAMES, sound, turned, run)
    assert found[2, 7] == pytest.approx(run.similarity(seen, heard)[0, 0, 0].item(), abs=1e-4)


class Hears(Model):
    """Model with known embeddings: the mean intensity vector for sound, and a constant vector for pictures."""

    def __init__(self, config) -> None:
        super().__init__(config)
        self.video_encoder = torch.nn.Sequential(Constant(torch.tensor([1.0, 0.0, 0.0])))
        self.audio_encoder = Intensity()
        for name in ("video_head", "audio_head"):
            setattr(self, name, torch.nn.Identity())


class Constant(torch.nn.Module):
    def __init__(self, value: torch.Tensor) -> None:
        super().__init__()
        self.value = value

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        return self.value.expand(len(crops), -1)


class Intensity(torch.nn.Module):
    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features[:, 4:].mean(dim=(2, 3))


def test_an_objects_map_peaks_where_its_sound_comes_from(run: Run) -> None:
    """A model that expects sound from the front finds the source, whatever the object's direction."""
    run = replace(run, model=Hears(run.config.model).eval(), config=replace(run.config, stages="avc"))
    source = erp_grid(SIZE)[1, 3]
    sound = ops.encode(torch.randn(1, 24000), source[None])
    found = similarity.similarity_map(run, FRAMES, sound, towards=torch.tensor([0.3, 0.1]), size=SIZE)
    assert divmod(int(found.argmax()), SIZE[1]) == (1, 3)
    assert found.max() == pytest.approx(1, abs=1e-3)
    two = similarity.object_maps(run, FRAMES, sound, torch.tensor([[0.3, 0.1], [-2.0, 0.4]]), size=SIZE)
    assert two.shape == (2, *SIZE)
    torch.testing.assert_close(two[0], found)
