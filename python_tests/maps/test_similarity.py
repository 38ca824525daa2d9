"""Similarity maps: cells have the value of their direction, and peaks are in the direction of the sound."""

from dataclasses import replace
from math import pi

import pytest
import torch

from avsa_fast import ops
from avsa_fast.maps import similarity
from avsa_fast.maps.grid import angular_distance, erp_grid, peak_direction, resize_map
from avsa_fast.models import Model
from avsa_fast.run import Run

FRAMES = torch.randint(0, 256, (8, 64, 128, 3), dtype=torch.uint8)
SIZE = (6, 12)


def test_grouping_by_quarter_turns() -> None:
    grid = erp_grid(SIZE)
    groups = similarity._group_by_quarter_turns(grid)
    steps = (groups[:, 1:, 0] - groups[:, :-1, 0]) % (2 * pi)
    torch.testing.assert_close(steps, torch.full_like(steps, pi / 2))
    assert (groups[..., 1] == groups[:, :1, 1]).all()
    torch.testing.assert_close(similarity._ungroup(groups[..., 0], SIZE), grid[..., 0])
    with pytest.raises(ValueError, match="multiple of 4"):
        similarity._group_by_quarter_turns(erp_grid((6, 10)))


@pytest.mark.parametrize("stages", ["both", "avc"])
def test_cell_value_matches_separate_computation(run: Run, stages: str) -> None:
    """A cell's value equals the model's similarity for that direction's views, computed separately."""
    run = replace(run, config=replace(run.config, stages=stages))
    sound = torch.randn(4, 24000)
    heat = similarity.similarity_map(run, FRAMES, sound, size=SIZE)
    assert heat.shape == SIZE
    direction = erp_grid(SIZE)[2, 7]
    group = torch.stack([direction + torch.tensor([i * pi / 2, 0]) for i in range(4)])[None]
    video = similarity._embed_groups(run.video, FRAMES, "erp", sound, group, run)
    audio = similarity._embed_groups(run.audio, FRAMES, "erp", sound, group, run)
    assert heat[2, 7] == pytest.approx(run.similarity(video, audio)[0, 0, 0].item(), abs=1e-4)


class IntensityModel(Model):
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


def test_object_map_peaks_at_its_sound(run: Run) -> None:
    """A model that expects sound from the front finds the source, whatever the object's direction."""
    run = replace(run, model=IntensityModel(run.config.model).eval(), config=replace(run.config, stages="avc"))
    source = erp_grid(SIZE)[1, 3]
    sound = ops.encode(torch.randn(1, 24000), source[None])
    heat = similarity.similarity_map(run, FRAMES, sound, towards=torch.tensor([0.3, 0.1]), size=SIZE)
    assert divmod(int(heat.argmax()), SIZE[1]) == (1, 3)
    assert heat.max() == pytest.approx(1, abs=1e-3)
    two = similarity.object_maps(run, FRAMES, sound, torch.tensor([[0.3, 0.1], [-2.0, 0.4]]), grid=erp_grid(SIZE))
    assert two.shape == (2, *SIZE)
    torch.testing.assert_close(two[0], heat)


def test_maps_follow_the_projection(run: Run) -> None:
    """One eye's view of stereoscopic frames gives the map of that view alone; a cubemap gives another one."""
    sound, other = torch.randn(4, 24000), torch.randint(0, 256, FRAMES.shape, dtype=torch.uint8)
    towards = torch.tensor([0.3, 0.1])
    heat = similarity.similarity_map(run, FRAMES, sound, towards=towards, size=SIZE)
    over_under, beside = torch.cat([FRAMES, other], dim=1), torch.cat([FRAMES, other], dim=2)
    for frames, projection in ((over_under, "erp_top"), (beside, "erp_left")):
        mapped = similarity.similarity_map(run, frames, sound, towards=towards, projection=projection, size=SIZE)
        torch.testing.assert_close(mapped, heat)
    cubemap = similarity.similarity_map(run, FRAMES, sound, towards=towards, projection="eac", size=SIZE)
    assert (cubemap - heat).abs().max() > 1e-4


@pytest.mark.parametrize("stages", ["both", "avc"])
def test_search_equals_the_whole_map_where_it_refines(run: Run, stages: str) -> None:
    """And is interpolated between the values of the coarse map elsewhere."""
    run = replace(run, config=replace(run.config, stages=stages))
    sound, objects = torch.randn(4, 24000), torch.tensor([[0.3, 0.1], [-2.0, 0.4]])
    found = similarity.search_maps(run, FRAMES, sound, objects)
    coarse = similarity.object_maps(run, FRAMES, sound, objects, grid=erp_grid(similarity.COARSE))
    whole = similarity.object_maps(run, FRAMES, sound, objects, grid=erp_grid(similarity.SIZE))
    refined = torch.zeros(similarity.SIZE, dtype=torch.bool)
    columns = similarity.SIZE[1] // 4
    for heat in coarse:
        row, column = divmod(int(heat.argmax()), similarity.COARSE[1])
        for r in range(3 * row, 3 * row + 3):
            for c in range(3 * column, 3 * column + 3):
                refined[r, c % columns :: columns] = True
    torch.testing.assert_close(found.maps[:, refined], whole[:, refined], atol=1e-4, rtol=0)
    between = resize_map(coarse, similarity.SIZE)
    torch.testing.assert_close(found.maps[:, ~refined], between[:, ~refined], atol=1e-4, rtol=0)
    for direction, score in zip(objects, found.scores, strict=True):
        group = torch.stack([direction + torch.tensor([i * pi / 2, 0]) for i in range(4)])[None]
        video = similarity._embed_groups(run.video, FRAMES, "erp", sound, group, run)
        audio = similarity._embed_groups(run.audio, FRAMES, "erp", sound, group, run)
        assert score == pytest.approx(run.similarity(video, audio)[0, 0, 0].item(), abs=1e-4)


def test_search_finds_the_source(run: Run) -> None:
    """Of a model that expects sound from the front: the maximum is in the fine cell, of 10°, of the source."""
    run = replace(run, model=IntensityModel(run.config.model).eval(), config=replace(run.config, stages="avc"))
    for direction in ([2.9, 0.3], [-0.7, -0.5]):
        sound = ops.encode(torch.randn(1, 24000), torch.tensor([direction]))
        found = similarity.search_maps(run, FRAMES, sound, torch.tensor([[0.3, 0.1]]))
        peak = torch.tensor(peak_direction(found.maps[0]))
        assert angular_distance(peak, torch.tensor(direction)) < 7.1
