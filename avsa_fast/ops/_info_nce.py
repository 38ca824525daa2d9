"""InfoNCE, the contrastive loss over paired rows."""

import torch
from torch import Tensor
from torch.distributed import ProcessGroup

from . import _checks, _info_nce_op
from ._dispatch import _C
from ._info_nce_group import info_nce_of_group

PRECISIONS = _C.PRECISIONS  # torch.compile reads module variables, but not attributes of _C
HALVES = (torch.float16, torch.bfloat16)


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
    """Computes the contrastive loss InfoNCE of paired rows.

    It is the mean over rows i of -log softmax_j(cosine(query_i, key_j) / temperature) at j = i.

    Differentiable once in query, key and temperature, with the same bits from run to run. Memory grows with N D, never
    with N². Method: van den Oord et al. 2018, "Representation Learning with Contrastive Predictive Coding"; see
    docs/info_nce.md.

    Args:
        query: [N, D], float32, float64, float16 or bfloat16; the last two are computed in float32. A row of zeros has
            cosine 0 with every row, and gradient 0; so does one of float64 numbers below 2.3e-308.
        key: [N, D] of the same dtype; row i is paired with query row i.
        temperature: A number above 0, or a float tensor [] that receives a gradient.
        symmetric: Mean of query -> key and key -> query.
        negatives: "all": every row competes. "joint": row r is crop r mod `crops` of clip r div `crops`, and only rows
            of the same clip or of the same crop number compete.
        crops: Rows per clip; divides N.
        precision: Precision of the matrix products. "fp32"; "bf16", with normalised rows and weights rounded to
            bfloat16, sums in float32 and exact cosines of pairs; "tf32" and "3xtf32", for matrix units of GPUs, the
            same as "fp32" on the CPU. On CUDA, rows of more than 512 (bf16) or 256 dimensions are computed as "fp32".
            float64 rows need "fp32".
        group: Process group whose ranks hold the rows, in order of ranks, any number on each. All ranks pass the same
            options and temperature, and get the loss over all rows. Averaged over ranks, as by DistributedDataParallel,
            gradients of parameters are those of one process with all rows: gradients of query and key are multiplied by
            the number of ranks; the gradient of temperature is the same on every rank. Not under torch.compile.

    Returns:
        The loss [], float64 for float64 rows, else float32; 0 if N = 0.

    Raises:
        TypeError: An argument has an unsupported type or dtype.
        ValueError: The shapes do not match, crops do not divide N, an option is unknown, or the temperature is not
            finite and above 0 (a tensor's is checked on the CPU; on CUDA the loss is NaN).
    """
    _checks.dtype("query", query, _checks.FLOATS)
    _checks.like("key", key, "query", query)
    _checks.shape("query", query, "[N, D]", query.ndim == 2)
    _checks.shape("key", key, f"{list(query.shape)} like query", key.shape == query.shape)
    symmetric = _checks.flag("symmetric", symmetric)
    _checks.choice("negatives", negatives, ("all", "joint"))
    crops = _checks.integer("crops", crops, 1)
    if query.shape[0] % crops:
        raise ValueError(f"crops must divide the {query.shape[0]} rows, not {crops}")
    _checks.choice("precision", precision, PRECISIONS)
    if group is not None and not isinstance(group, ProcessGroup):
        raise TypeError(f"group must be a torch.distributed.ProcessGroup or None, not {group!r}")
    if query.dtype == torch.float64 and precision != "fp32":
        raise ValueError(f'precision must be "fp32" for float64 rows, not {precision!r}')
    if query.dtype in HALVES:
        query, key = query.float(), key.float()
    temperature = _as_tensor(temperature, query)
    crops = crops if negatives == "joint" else 1  # with one crop per clip, all rows have the same crop number
    if group is not None:
        return info_nce_of_group(query, key, temperature, symmetric, crops, precision, group)
    return _info_nce_op.info_nce(query, key, temperature, symmetric, crops, precision)[0]


def _as_tensor(temperature: float | Tensor, query: Tensor) -> Tensor:
    """The temperature as float64 [] on the device of query."""
    if isinstance(temperature, Tensor):
        _checks.dtype("temperature", temperature, _checks.FLOATS)
        _checks.device("temperature", temperature, "query", query)
        _checks.shape("temperature", temperature, "a number or a tensor []", temperature.ndim == 0)
        return temperature.double()
    temperature = _checks.number("temperature", temperature, expected="a number or a tensor []")
    if not 0 < temperature < float("inf"):
        raise ValueError(f"temperature must be finite and above 0, not {temperature!r}")
    return torch.full((), temperature, dtype=torch.float64, device=query.device)
