"""InfoNCE, the contrastive loss over paired rows."""

import torch
from torch import Tensor
from torch.distributed import ProcessGroup

from . import _check
from ._info_nce_group import info_nce_of_group
from ._info_nce_kernels import PRECISIONS, info_nce_operation

HALVES = (torch.float16, torch.bfloat16)
FLOATS = (*HALVES, torch.float32, torch.float64)


def info_nce(
    query: Tensor,
    key: Tensor,
    *,
    temperature: float | Tensor = 0.07,
    symmetric: bool = False,
    negatives: str = "all",
    crops: int = 1,
    precision: str = "fp32",
    group: ProcessGroup | None = None,
) -> Tensor:
    """Mean over rows i of -log softmax_j(cosine(query_i, key_j) / temperature) at j = i (van den Oord et al. 2018).

    query, key: [N, D], rows paired: float32 or float64, or float16 and bfloat16, which are computed in float32. A row
    of zeros has cosine 0 with every row, and gradient 0. temperature: a number above 0, or a 0-d float tensor that
    receives a gradient. symmetric: the mean of query -> key and key -> query. negatives: "all", every row competes;
    "joint": row r is crop r mod `crops` of clip r div `crops`, and only rows of one clip or of one crop number compete.
    precision of the matrix products: "fp32"; "bf16", normalised rows and weights rounded to bfloat16, summed in float32
    (the pairs' own cosines stay exact); "tf32" and "3xtf32", which are "fp32" on the CPU. float64 rows take "fp32".
    group: rows span the ranks of this process group, in the order of ranks, any number on each; every rank gives the
    same temperature and options, and gets the loss over all rows. Averaged over ranks, as DistributedDataParallel does,
    gradients of parameters are those of one process over all rows: gradients in query and key are the number of ranks
    times those of one process, that in temperature is the same on every rank. Not for torch.compile.
    Returns the loss [], float32 or float64; 0 where N = 0. Differentiable once in query, key and temperature, with the
    same bits from run to run; memory grows with N D, never with N².
    Raises TypeError for another dtype; ValueError for shapes that do not fit, crops that do not divide N, a temperature
    that is not finite and above 0 (a tensor's on the CPU; on CUDA it gives NaN), or another precision.
    """
    _check.dtype("query", query, FLOATS)
    _check.like("key", key, "query", query)
    _check.shape("query", query, "[N, D]", query.ndim == 2)
    _check.shape("key", key, f"{list(query.shape)} like query", key.shape == query.shape)
    if negatives not in ("all", "joint"):
        raise ValueError(f'negatives must be "all" or "joint", not {negatives!r}')
    if crops < 1 or query.shape[0] % crops:
        raise ValueError(f"crops must be at least 1 and divide the {query.shape[0]} rows, not {crops!r}")
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, not {precision!r}")
    if query.dtype == torch.float64 and precision != "fp32":
        raise ValueError(f'precision must be "fp32" for float64 rows, not {precision!r}')
    if query.dtype in HALVES:
        query, key = query.float(), key.float()
    temperature = _as_tensor(temperature, query)
    rival_crops = crops if negatives == "joint" else 1  # with one crop a clip, all rows are of one crop number
    if group is not None:
        return info_nce_of_group(query, key, temperature, symmetric, rival_crops, precision, group)
    return info_nce_operation(query, key, temperature, symmetric, rival_crops, precision)[0]


def _as_tensor(temperature: float | Tensor, query: Tensor) -> Tensor:
    """The temperature as float64 [] beside query: on CUDA the kernel reads it there."""
    if isinstance(temperature, Tensor):
        _check.dtype("temperature", temperature, FLOATS)
        _check.device("temperature", temperature, "query", query)
        _check.shape("temperature", temperature, "a number or a tensor []", temperature.ndim == 0)
        return temperature.double()
    if not isinstance(temperature, int | float):
        raise TypeError(f"temperature must be a number or a tensor, not {type(temperature).__name__}")
    if not 0 < temperature < float("inf"):
        raise ValueError(f"temperature must be finite and above 0, not {temperature!r}")
    return torch.full((), temperature, dtype=torch.float64, device=query.device)
