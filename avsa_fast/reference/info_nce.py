"""InfoNCE in plain PyTorch, on the dense matrix of cosines: the definition that the kernels are tested against."""

import torch
from torch import Tensor


def info_nce(
    query: Tensor,
    key: Tensor,
    *,
    temperature: float | Tensor = 0.07,
    symmetric: bool = False,
    negatives: str = "all",
    crops: int = 1,
    precision: str = "fp32",
    group: None = None,
) -> Tensor:
    """Mean of softplus(logsumexp over a pair's competitors - the pair's own logit).

    The competitors are summed separately from the pair, because log-softmax would round them away late in training.

    Args:
        query: [N, D].
        key: [N, D].
        temperature: A number, or a tensor [].
        symmetric: Mean of query -> key and key -> query.
        negatives: "all" or "joint".
        crops: Rows per clip.
        precision: Ignored.
        group: Ignored.

    Returns:
        The loss [].
    """
    if len(query) == 0:
        return (query.sum() + key.sum()) / temperature  # 0, with its graph
    row = torch.arange(len(query), device=query.device)
    compete = row[:, None] != row  # [N, N]
    if negatives == "joint":
        clip, crop = row // crops, row % crops
        compete = compete & ((clip[:, None] == clip) | (crop[:, None] == crop))
    logits = unit_rows(query) @ unit_rows(key).mT / temperature  # [N, N]
    loss = _losses(logits, compete)
    if symmetric:
        loss = (loss + _losses(logits.mT, compete)) / 2
    return loss.mean()


def unit_rows(rows: Tensor) -> Tensor:
    """Rows [N, D] divided by their L2 norm; a row of zeros stays, and its gradient is 0."""
    size = rows.detach().abs().sum(-1, keepdim=True)  # of it, squares neither overflow nor vanish
    rows = rows / torch.where(size == 0, 1, size)
    square = rows.square().sum(-1, keepdim=True)
    zero = square == 0
    return torch.where(zero, 0, rows / torch.where(zero, 1, square).sqrt())


def _losses(logits: Tensor, compete: Tensor) -> Tensor:
    competitors = logits.masked_fill(~compete, -torch.inf).logsumexp(1)  # [N]
    log_ratio = competitors - logits.diagonal()
    return torch.logaddexp(log_ratio, torch.zeros_like(log_ratio))  # softplus, without torch's threshold
