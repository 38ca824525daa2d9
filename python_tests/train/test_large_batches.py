"""Large batches: the gradient cache and recomputed blocks give the whole batch's gradient, on one and two ranks."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers.ranks import Step, one_step, part_of, random_inputs, steps_of_two
from helpers.together import together

from avsa_fast import ops
from avsa_fast.config import PRESETS, Config, Stage
from avsa_fast.models import Model, ModelConfig
from avsa_fast.train.build import build_model
from avsa_fast.train.gradient_cache import cached_backward
from avsa_fast.train.ranks import Ranks

MODEL = ModelConfig(video_width=8, video_blocks=(1, 1, 1, 1), audio_width=8, projection=16, transformer_ffn=16)
BATCH_NORM = replace(PRESETS["tiny"], model=MODEL, learn_temperature=True)
GROUP_NORM = replace(BATCH_NORM, model=replace(MODEL, norm="group"))
FROZEN = replace(BATCH_NORM, batch_norm="frozen")


def assert_same(actual: Step, expected: Step, tolerance: float = 1e-9) -> None:
    """Gradients to a share of their largest value, and all running statistics."""
    assert actual.gradients.keys() == expected.gradients.keys()
    largest = max(float(x.abs().max()) for x in expected.gradients.values())
    for name, gradient in expected.gradients.items():
        torch.testing.assert_close(actual.gradients[name], gradient, rtol=0, atol=tolerance * largest, msg=name)
    assert actual.buffers.keys() == expected.buffers.keys()
    for name, value in expected.buffers.items():
        torch.testing.assert_close(actual.buffers[name], value, msg=name)


@pytest.mark.parametrize("stage", ["avc", "avsa"])
@pytest.mark.parametrize("config", [GROUP_NORM, FROZEN], ids=["group", "frozen"])
def test_gradient_cache_is_exact(config: Config, stage: Stage) -> None:
    inputs = random_inputs(5, 1 if stage == "avc" else 4)
    whole = one_step(config, stage, inputs, Ranks())
    assert_same(one_step(replace(config, cache_chunk=2), stage, inputs, Ranks()), whole)
    assert whole.gradients["log_temperature"] != 0


def test_batch_norm_in_chunks_has_another_gradient() -> None:
    """Why it is refused: with the statistics of two samples, the gradient points elsewhere."""
    inputs = random_inputs(8)
    whole = one_step(BATCH_NORM, "avc", inputs, Ranks())
    model = one_model(BATCH_NORM)
    chunks = list(zip(inputs.crops.split(2), inputs.features.split(2), strict=True))
    cached_backward(lambda views: model(*views)[2:], chunks, avc_loss)
    name = "video_encoder.stem.0.weight"
    one, other = whole.gradients[f"model.{name}"].flatten(), dict(model.named_parameters())[name].grad.flatten()
    assert torch.cosine_similarity(one, other, dim=0) < 0.9


def one_model(config: Config) -> Model:
    return build_model(config, torch.device("cpu"), Ranks()).double().train()


def avc_loss(video: torch.Tensor, audio: torch.Tensor) -> torch.Tensor:
    return ops.info_nce(video.flatten(0, 1), audio.flatten(0, 1), temperature=0.07, symmetric=True)


@pytest.mark.parametrize("stage", ["avc", "avsa"])
def test_recomputed_blocks_give_the_same_gradient(stage: Stage) -> None:
    """With BatchNorm, whose running statistics are updated once."""
    inputs = random_inputs(5, 1 if stage == "avc" else 4)
    whole = one_step(BATCH_NORM, stage, inputs, Ranks())
    recomputed = one_step(replace(BATCH_NORM, recompute=True), stage, inputs, Ranks())
    assert_same(recomputed, whole)
    counts = [value for name, value in recomputed.buffers.items() if name.endswith("num_batches_tracked")]
    assert len(counts) > 10
    assert {int(count) for count in counts} == {1}


def test_recomputed_blocks_keep_fewer_activations() -> None:
    """The bytes that the graph keeps for the backward pass, at least halved."""
    inputs = random_inputs(8)
    kept = []
    for recompute in (False, True):
        saved: dict[int, int] = {}

        def pack(x: torch.Tensor, saved: dict[int, int] = saved) -> torch.Tensor:
            saved[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
            return x

        model = one_model(replace(BATCH_NORM, recompute=recompute))
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
            embeddings = model(inputs.crops, inputs.features)
        kept.append(sum(saved.values()))
        assert embeddings.video.requires_grad
    assert kept[1] < kept[0] / 2


def test_two_ranks_have_the_gradient_of_one(tmp_path: Path) -> None:
    """The gradient cache with GroupNorm, also with masked recordings, and frozen statistics; and recomputed blocks."""
    configs = {
        "group": replace(GROUP_NORM, cache_chunk=3),
        "masked": replace(GROUP_NORM, cache_chunk=3, mask_recordings=True),
        "masked in one pass": replace(GROUP_NORM, mask_recordings=True),
        "frozen": replace(FROZEN, cache_chunk=3),
        "batch": BATCH_NORM,
        "recomputed": replace(BATCH_NORM, recompute=True),
    }
    together(steps_of_two, 2, (tmp_path / "store", configs, tmp_path), "spawn")
    inputs = random_inputs(8)
    first = part_of(inputs, slice(4))
    for rank in range(2):
        found = torch.load(tmp_path / f"rank{rank}.pt", weights_only=True)
        steps = {name: Step(**step) for name, step in found.items()}
        assert_same(steps["group"], one_step(GROUP_NORM, "avc", inputs, Ranks()))
        masked = one_step(replace(GROUP_NORM, mask_recordings=True), "avc", inputs, Ranks())
        assert_same(steps["masked"], masked)
        assert_same(steps["masked in one pass"], masked)
        assert_same(steps["frozen"], one_step(FROZEN, "avc", inputs, Ranks(), first))
        assert_same(steps["recomputed"], steps["batch"])
