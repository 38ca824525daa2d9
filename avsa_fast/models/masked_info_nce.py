"""InfoNCE without negatives of the same recording, in plain PyTorch with a matrix of similarities."""

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import ProcessGroup
from torch.nn.functional import normalize, softplus


def masked_info_nce(
    query: Tensor, key: Tensor, recordings: Tensor, *, temperature: float | Tensor, symmetric: bool = False,
    crops: int = 1, negatives: str = "all", group: ProcessGroup | None = None,
) -> Tensor:  # fmt: skip
    """Computes `ops.info_nce` in which a clip's rows do not compete with those of other clips of its recording.

    Args:
        query: [N, D], float32 or float64; row r is crop r mod `crops` of clip r div `crops`.
        key: [N, D]; row i is paired with query row i.
        recordings: int64 [N / crops], a number for each clip's recording.
        temperature: A number, or a tensor [] that receives a gradient.
        symmetric: Mean of query -> key and key -> query.
        crops: Rows per clip.
        negatives: "all" or "joint", as in `ops.info_nce`.
        group: Process group whose ranks hold equally many rows; the loss and its gradients are as in `ops.info_nce`.

    Returns:
        The loss [].
    """
    queries, keys = (_of_all_ranks(normalize(rows, dim=1), group) for rows in (query, key))
    recording = _of_all_ranks(recordings, group).repeat_interleave(crops)
    row = torch.arange(len(queries), device=queries.device)
    clip, crop = row // crops, row % crops
    competes = (clip[:, None] == clip) | (recording[:, None] != recording)
    if negatives == "joint":
        competes &= (clip[:, None] == clip) | (crop[:, None] == crop)
    competes.fill_diagonal_(False)
    logits = queries @ keys.T / temperature
    loss = _mean_loss(logits, competes)
    return (loss + _mean_loss(logits.T, competes.T)) / 2 if symmetric else loss


def _mean_loss(logits: Tensor, competes: Tensor) -> Tensor:
    """Mean over the rows of -log softmax at the diagonal, exact also if the diagonal dominates."""
    some = competes.any(dim=1)  # a row without negatives has loss 0
    others = logits[some].masked_fill(~competes[some], -torch.inf).logsumexp(dim=1)
    return softplus(others - logits.diagonal()[some]).sum() / len(logits)


def _of_all_ranks(rows: Tensor, group: ProcessGroup | None) -> Tensor:
    """Rows of all ranks in order. The gradient of this rank's is multiplied by the number of ranks."""
    if group is None:
        return rows
    ranks = dist.get_world_size(group)
    parts = [torch.empty_like(rows) for _ in range(ranks)]
    dist.all_gather(parts, rows.detach().contiguous(), group=group)
    own = rows.clone()
    if own.requires_grad:
        own.register_hook(lambda grad: grad * ranks)  # averaging over ranks divides by their number
    parts[dist.get_rank(group)] = own
    return torch.cat(parts)
