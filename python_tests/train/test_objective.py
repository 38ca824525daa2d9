"""The training objective: the settings of the configuration reach the loss."""

import pytest
import torch

from avsa_fast import ops
from avsa_fast.config import Config
from avsa_fast.models import Embeddings, Model, ModelConfig
from avsa_fast.train.objective import Objective

SMALL = ModelConfig(audio_channels=7, video_width=8, video_blocks=(1, 1, 1, 1), audio_width=8, transformer_ffn=32)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("stage", ["avc", "avsa"])
def test_loss_precision(stage: str, precision: str) -> None:
    config = Config(loss_precision=precision)  # type: ignore[arg-type]  # a parameter, not a literal
    objective = Objective(Model(SMALL).eval(), config)
    K = 1 if stage == "avc" else 4
    embeddings = Embeddings(*(torch.randn(6, K, n) for n in (64, 64, 128, 128)))
    with torch.no_grad():
        loss, _ = objective.compare(stage, embeddings)  # type: ignore[arg-type]
        rows = [x.flatten(0, 1) for x in embeddings[2:]]
        options = {"temperature": config.temperature, "precision": precision}
        if stage == "avc":
            want = ops.info_nce(*rows, symmetric=True, **options)
        else:
            predicted = objective.model.predictions(embeddings)
            pairs = zip(predicted, rows, strict=True)
            want = sum(ops.info_nce(a.flatten(0, 1), b, crops=4, **options) for a, b in pairs) / 2
    assert torch.equal(loss, want)
