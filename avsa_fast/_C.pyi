"""The compiled kernels (csrc/bindings).

Kernels take contiguous torch tensors on one device, check them, and run on the CPU or, for CUDA tensors, on CUDA in
`stream` (a cudaStream_t). They raise a ValueError that names the argument. Their result is 0, or on the CPU bits for
values that are not finite.
"""

from collections.abc import Sequence
from typing import TypedDict

from torch import Tensor

ISAS: tuple[str, ...]  # instruction sets of CPU kernels; each includes those before it
MAX_ORDER: int  # of ambisonics
MAX_ELEVATION: float  # radians: pi/2 and what rounding may add
GNOMONIC_MAX_ELEMENTS: int  # per frame of a plane, gaps between rows included; exclusive
PRECISIONS: tuple[str, ...]  # of info_nce
INFO_NCE_COSINE: int  # columns of the statistics of rows: the pair's cosine,
INFO_NCE_LOSS: int  # the loss of choosing the partner; 0 for keys unless the loss is symmetric
INFO_NCE_STATISTICS: int  # number of columns
INFO_NCE_MAX_COMMON_SCALE: float  # below it, the scale is the max of all rows' sums

class CudaError(RuntimeError):
    """A CUDA kernel could not be launched; its argument is the cudaError_t."""

class NoDeviceKernels(RuntimeError):
    """CUDA tensors were passed to a build without CUDA kernels."""

class BuildInfo(TypedDict):
    cuda: bool
    cuda_archs: str
    cuda_runtime: str | None
    cpu_isa: str
    openmp: bool

def build_info() -> BuildInfo: ...

# Returns 1 if a direction is not finite, or its elevation beyond MAX_ELEVATION.
def harmonics(
    *,
    directions: Tensor,  # [..., 2] float32 or float64
    out: Tensor,  # [..., (order + 1)²]
    order: int,
    stream: int = 0,
) -> int: ...

# Returns bit 1 if a direction is not finite, bit 2 if a roll is not.
def rotation_matrices(
    *,
    directions: Tensor,  # [..., 2] float32 or float64
    roll: Tensor | None,  # [...]
    flip: Tensor | None,  # [...] bool
    out: Tensor,  # [..., C, C], C = (order + 1)²
    order: int,
    stream: int = 0,
) -> int: ...

# out = matrix @ signals. by_order: rows and columns are channels of views of a scene, and a row mixes only the channels
# of its own order. Returns 1 if a sample is not finite.
def mix(
    *,
    signals: Tensor,  # [..., C, T] any float
    matrix: Tensor,  # [..., R, C] float64 for float64 signals, else float32
    out: Tensor,  # [..., R, T] like signals
    by_order: bool,
    stream: int = 0,
) -> int: ...

# Returns 1 if a sample is not finite.
def spatial_features(
    *,
    signals: Tensor,  # [..., C, T] float32 or float64
    matrix: Tensor,  # [..., K, M, C] float64, as the next three
    window: Tensor,  # [n_fft]
    roots: Tensor,  # [n_fft, 2]
    bank: Tensor,  # [n_fft / 2 + 1, n_mels]
    first: Tensor,  # [n_mels + 2] int64
    spatial: str | None,  # "iv", "icf"
    intensity: tuple[float, float, float, float],  # gain, w, xyz, norm of VARIANTS
    hop: int,
    workspace: Tensor,  # [bytes] uint8
    out: Tensor,  # [..., K, channels, n_mels, n_frames] like signals
    stream: int = 0,
) -> int: ...

# Returns the bytes of the workspace of spatial_features.
def spatial_features_workspace_size(*, signals: Tensor, n_fft: int, hop: int) -> int: ...

# Tiles of a crop, which size the partial greys of gnomonic and the sums of gnomonic_pose_backward.
def gnomonic_tiles(*, h: int, w: int) -> int: ...
def gnomonic(
    *,
    planes: Sequence[Tensor],  # RGB [B, F, H, W, 3] with contiguous rows; or Y and CbCr; or Y, Cb and Cr
    yuv: Sequence[float],  # 6 numbers of spatial.colour.YuvMatrix; used with more than one plane
    directions: Tensor,  # [B, K, 2] float32 or float64
    fov: Tensor,  # [B, K], as the next, of the directions' dtype
    roll: Tensor | None,
    flip: Tensor | None,  # [B, K] bool
    antialias: bool,
    eac: bool,
    jitter: Tensor | None,  # [B, K, 4] of the directions' dtype
    mean: Sequence[float],
    std: Sequence[float],
    partial_greys: Tensor | None,  # [B, K, tiles, F] float64, with jitter
    sampled: Tensor | None,  # [B, K, 3, F, h, w] float64 for float64 frames, else float32; with jitter on the host
    out: Tensor,  # [B, K, 3, F, h, w]
    stream: int = 0,
) -> int: ...
def gnomonic_backward(
    *,
    grad: Tensor,  # [B, K, 3, F, h, w] float32 or float64
    directions: Tensor,
    fov: Tensor,
    roll: Tensor | None,
    flip: Tensor | None,
    antialias: bool,
    eac: bool,
    unit: Tensor,  # [B, F] float64: the value of 1 in the sums of a frame
    sums: Tensor,  # [B, F, H, W, 3] int64, added to
    stream: int = 0,
) -> int: ...
def gnomonic_pose_backward(
    *,
    grad: Tensor,  # [B, K, 3, F, h, w] float64 for float64 frames, else float32
    frames: Tensor,  # [B, F, H, W, 3] with contiguous rows
    directions: Tensor,
    fov: Tensor,
    roll: Tensor | None,
    flip: Tensor | None,
    antialias: bool,
    eac: bool,
    sums: Tensor,  # [B, K, tiles, 4] float64
    stream: int = 0,
) -> int: ...
def info_nce_prepare(
    *,
    query: Tensor,  # [N, D] float32 or float64
    key: Tensor,  # [N, D]
    statistics: Tensor,  # [2, N, 3] float64; all but the losses are written
    stream: int = 0,
) -> int: ...

# Returns 1 if the device of the rows has the kernels on wgmma, else 0.
def info_nce_has_wgmma(*, rows: Tensor, stream: int = 0) -> int: ...

# Returns the bytes of the workspace of info_nce_scan and info_nce_gradient.
def info_nce_workspace_size(
    *,
    query: Tensor,
    query_statistics: Tensor,
    query_first: int,
    key: Tensor,
    key_statistics: Tensor,
    key_first: int,
    scale: Tensor,
    crops: int,
    symmetric: bool,
    precision: str,
    wgmma: bool,  # of the kernels for bf16, which one
    stream: int = 0,
) -> int: ...
def info_nce_scan(
    *,
    query: Tensor,  # [n, D] float32 or float64
    query_statistics: Tensor,  # [n, 3] float64
    query_first: int,  # number of the first row among all rows
    key: Tensor,  # [m, D]
    key_statistics: Tensor,  # [m, 3]
    key_first: int,
    scale: Tensor,  # [] float64
    crops: int,
    symmetric: bool,
    precision: str,
    wgmma: bool,
    workspace: Tensor,  # [bytes] uint8
    query_sums: Tensor,  # [n, 2] float64, added to
    key_sums: Tensor,  # [m, 2] float64, added to if symmetric
    stream: int = 0,
) -> int: ...
def info_nce_gradient(
    *,
    query: Tensor,
    query_statistics: Tensor,
    query_first: int,
    key: Tensor,
    key_statistics: Tensor,
    key_first: int,
    scale: Tensor,
    crops: int,
    symmetric: bool,
    precision: str,
    wgmma: bool,
    workspace: Tensor,
    query_grad: Tensor,  # [n, D], added to
    key_grad: Tensor,  # [m, D], added to
    stream: int = 0,
) -> int: ...
def info_nce_project(
    *,
    own: Tensor,  # [N, D] float32 or float64
    own_statistics: Tensor,  # [N, 3] float64
    partner: Tensor,  # [N, D]
    partner_statistics: Tensor,  # [N, 3]
    factor: Tensor,  # [] float64
    grad: Tensor,  # [N, D], read and written
    radial: Tensor,  # [N] float64: component of the gradient along the unit row, before the factor
    stream: int = 0,
) -> int: ...
