"""InfoNCE: host kernels and emulated CUDA kernels against the reference, closed forms and cross-entropy."""

from collections.abc import Iterator
from itertools import product

import pytest
import torch
from helpers.info_nce import assert_matches_reference, gradients, rows
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from avsa_fast import ops, reference

SCALES = (1, 14.3, 40, 41, 100)


@pytest.fixture(autouse=True)
def _poisoned_memory() -> Iterator[None]:
    """Fills new tensors with NaN, to detect values that a kernel does not write."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize(("N", "D", "scale"), [(1, 5, 40), (2, 1, 1), (16, 64, 100), (65, 33, 14.3), (130, 17, 41)])
@pytest.mark.parametrize("symmetric", [False, True])
def test_kernel_matches_reference(kernel_device, N, D, scale, symmetric):
    assert_matches_reference(*rows(N, D, kernel_device), scale, symmetric=symmetric)


@pytest.mark.parametrize("symmetric", [False, True])
def test_joint_negatives_match_reference(kernel_device, symmetric):
    for crops, clips in ((1, 9), (4, 18), (5, 7), (3, 1)):
        query, key = rows(clips * crops, 20, kernel_device)
        assert_matches_reference(query, key, 14.3, symmetric=symmetric, negatives="joint", crops=crops)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("kind", ["aligned", "antipodal", "duplicate", "zero", "alike"])
def test_special_rows_match_reference(kernel_device, kind, scale):
    query, key = rows(66, 13, kernel_device)
    if kind == "aligned":
        key = 3 * query
    elif kind == "antipodal":
        key = -query
    elif kind == "duplicate":
        query[3], key[40], key[3] = query[17], key[2], query[3]
    elif kind == "zero":
        query[::5], key[::7] = 0, 0
    else:
        query, key = 5 + query / query.norm(dim=1, keepdim=True), 5 + key / key.norm(dim=1, keepdim=True)
    assert_matches_reference(query, key, scale, symmetric=True)


def test_many_dimensions(kernel_device):
    assert_matches_reference(*rows(17, 2048, kernel_device), 40, symmetric=True)


def test_tiles_of_odd_sizes():
    for N, D in ((257, 129), (513, 300), (40, 700)):
        assert_matches_reference(*rows(N, D, torch.device("cpu")), 14.3, symmetric=True)


def test_many_rows():
    for N, D, options in (
        (1000, 24, {"symmetric": True}),
        (1000, 130, {}),
        (999, 3, {"negatives": "joint", "crops": 3}),
    ):
        for scale in (14.3, 100):
            assert_matches_reference(*rows(N, D, torch.device("cpu")), scale, **options)


def test_float64_matches_reference_closely(kernel_device):
    for options in ({}, {"symmetric": True}, {"negatives": "joint", "crops": 6, "symmetric": True}):
        query, key = rows(66, 10, kernel_device, torch.float64)
        got = gradients(ops.info_nce, query, key, 0.07, **options)
        want = gradients(reference.info_nce, query.cpu(), key.cpu(), 0.07, **options)
        for x, y in zip(got, want, strict=True):
            torch.testing.assert_close(x, y, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("function", [ops.info_nce, reference.info_nce])
def test_equals_cross_entropy_of_cosines(function, symmetric):
    query, key = rows(50, 12, torch.device("cpu"), torch.float64)
    cosines = torch.nn.functional.cosine_similarity(query[:, None], key[None], dim=-1)
    target = torch.arange(50)
    want = torch.nn.functional.cross_entropy(cosines / 0.1, target)
    if symmetric:
        want = (want + torch.nn.functional.cross_entropy(cosines.T / 0.1, target)) / 2
    torch.testing.assert_close(function(query, key, temperature=0.1, symmetric=symmetric), want, rtol=1e-10, atol=0)


def test_joint_equals_cross_entropy_over_candidates(kernel_device):
    crops, clips = 4, 5
    query, key = rows(crops * clips, 8, kernel_device, torch.float64)
    cosines = torch.nn.functional.cosine_similarity(query[:, None], key[None], dim=-1)
    losses = []
    for clip, crop in product(range(clips), range(crops)):
        own = [(clip, other) for other in range(crops)]
        candidates = own + [(other, crop) for other in range(clips) if other != clip]
        assert len(candidates) == clips + crops - 1
        logits = cosines[clip * crops + crop, [a * crops + b for a, b in candidates]] / 0.2
        losses.append(torch.nn.functional.cross_entropy(logits, torch.tensor(crop, device=kernel_device)))
    got = ops.info_nce(query, key, temperature=0.2, negatives="joint", crops=crops)
    torch.testing.assert_close(got, torch.stack(losses).mean(), rtol=1e-10, atol=0)


@pytest.mark.parametrize("scale", [14.3, 40, 41, 80])
def test_late_in_training(kernel_device, scale):
    # Orthogonal rows aligned with their pairs: the loss is log(1 + (N - 1) exp(-scale)), down to 1e-33 in float32.
    N = 40
    query = torch.eye(N, device=kernel_device)
    loss, *_, temperature_grad = gradients(ops.info_nce, query, query, 1 / scale, symmetric=True)
    s = 1 / query.new_tensor(1 / scale).double().cpu()
    odds = (N - 1) * torch.exp(-s)
    torch.testing.assert_close(loss, torch.log1p(odds), rtol=1e-5, atol=0)
    torch.testing.assert_close(temperature_grad, 1.5 * s.square() * odds / (1 + odds), rtol=1e-5, atol=0)


def test_rows_of_zeros(kernel_device):
    query = torch.zeros(12, 7, device=kernel_device, requires_grad=True)
    key = torch.randn(12, 7, device=kernel_device, requires_grad=True)
    loss = ops.info_nce(query, key, symmetric=True)
    loss.backward()
    torch.testing.assert_close(loss.item(), torch.tensor(12.0).log().item())
    assert not query.grad.any()
    assert not key.grad.any()
    joint = ops.info_nce(query, key, negatives="joint", crops=3)
    torch.testing.assert_close(joint.item(), torch.tensor(4.0 + 3 - 1).log().item())


def test_no_rows(kernel_device):
    leaves = [torch.zeros(0, 5, device=kernel_device, requires_grad=True) for _ in range(2)]
    temperature = torch.tensor(0.1, device=kernel_device, requires_grad=True)
    loss = ops.info_nce(*leaves, temperature=temperature, symmetric=True)
    loss.backward()
    assert loss == reference.info_nce(*leaves) == 0
    assert leaves[0].grad.shape == leaves[1].grad.shape == (0, 5)
    assert temperature.grad == 0


def test_loss_does_not_depend_on_norms(kernel_device):
    query, key = rows(20, 9, kernel_device)
    want = ops.info_nce(query, key)
    for length in (1e-30, 1e30):
        query_in, key_in = (length * query).requires_grad_(), length * key
        loss = ops.info_nce(query_in, key_in)
        torch.testing.assert_close(loss, want, rtol=1e-5, atol=0)
        loss.backward()
        assert query_in.grad.isfinite().all()


@pytest.mark.parametrize(("query_norm", "key_norm"), [(1e-200, 1.0), (1e160, 1.0), (1e-307, 1e-307), (1e300, 1e-300)])
def test_norms_whose_squares_overflow_or_vanish(kernel_device, query_norm, key_norm):
    """Loss and gradients times norms are those of rows of usual norms, to the rounding of scaled rows."""
    query, key = rows(20, 9, kernel_device, torch.float64)
    query, key = query / query.norm(dim=1, keepdim=True), key / key.norm(dim=1, keepdim=True)
    for function in (ops.info_nce, reference.info_nce):
        want = gradients(function, query, key, 0.1, symmetric=True)
        got = gradients(function, query_norm * query, key_norm * key, 0.1, symmetric=True)
        got[1] *= query_norm
        got[2] *= key_norm
        for x, y in zip(got, want, strict=True):
            torch.testing.assert_close(x, y, rtol=1e-10, atol=1e-12)


def test_nan_propagates(kernel_device):
    query, key = rows(20, 9, kernel_device)
    query[7, 3] = torch.nan
    assert ops.info_nce(query, key).isnan()


def test_same_bits_for_any_number_of_threads():
    query, key = rows(600, 40, torch.device("cpu"))
    threads = torch.get_num_threads()
    runs = []
    try:
        for count in (1, 2, 3, 2):
            torch.set_num_threads(count)
            runs.append(gradients(ops.info_nce, query, key, 0.07, symmetric=True))
    finally:
        torch.set_num_threads(threads)
    for run in runs[1:]:
        assert all(torch.equal(x, y) for x, y in zip(run, runs[0], strict=True))


@settings(max_examples=20)
@given(
    clips=st.integers(0, 18), crops=st.integers(1, 5), D=st.integers(0, 20), scale=st.floats(0.1, 100),
    symmetric=st.booleans(), negatives=st.sampled_from(["all", "joint"]), seed=st.integers(0, 2**32),
)  # fmt: skip
def test_any_shape_and_stride(kernel_device, clips, crops, D, scale, symmetric, negatives, seed):
    torch.manual_seed(seed)
    query, key = rows(clips * crops, 2 * D, kernel_device)
    query, key = query[:, ::2], key[:, :D].T.contiguous().T
    assert_matches_reference(query, key, scale, symmetric=symmetric, negatives=negatives, crops=crops)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_rows_are_computed_in_float32(kernel_device, dtype):
    query, key = (x.requires_grad_() for x in rows(30, 16, kernel_device, dtype))
    loss = ops.info_nce(query, key, symmetric=True)
    loss.backward()
    assert loss.dtype == torch.float32
    assert query.grad.dtype == key.grad.dtype == dtype
    want = reference.info_nce(query.detach().double(), key.detach().double(), symmetric=True)
    torch.testing.assert_close(loss.detach().double(), want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"symmetric": True}, {"negatives": "joint", "crops": 3, "symmetric": True}])
def test_gradcheck(options):
    query, key = (x.requires_grad_() for x in rows(6, 5, torch.device("cpu"), torch.float64))
    temperature = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)

    def loss(query: Tensor, key: Tensor, temperature: Tensor) -> Tensor:
        return ops.info_nce(query, key, temperature=temperature, **options)

    assert torch.autograd.gradcheck(loss, (query, key, temperature))


def test_reference_gradient_is_0_for_rows_of_zeros():
    query = torch.zeros(3, 4, dtype=torch.float64, requires_grad=True)
    reference.info_nce(query, torch.randn(3, 4, dtype=torch.float64)).backward()
    assert not query.grad.any()


def test_second_derivative_is_refused():
    query, key = (x.requires_grad_() for x in rows(4, 3, torch.device("cpu")))
    (first,) = torch.autograd.grad(ops.info_nce(query, key), query, create_graph=True)
    with pytest.raises(NotImplementedError, match="second derivatives"):
        first.sum().backward()


def test_opcheck():
    query, key = (x.requires_grad_() for x in rows(20, 6, torch.device("cpu")))
    temperature = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    forward, backward = torch.ops.avsa_fast.info_nce.default, torch.ops.avsa_fast.info_nce_backward.default
    options = (True, 4, "fp32")
    torch.library.opcheck(forward, (query, key, temperature, *options))
    inputs = [x.detach() for x in (query, key, temperature)]
    _, statistics = forward(*inputs, *options)
    torch.library.opcheck(backward, (torch.tensor(1.0), *inputs, statistics, *options))


def test_compiles_in_one_graph():
    query, key = (x.requires_grad_() for x in rows(20, 6, torch.device("cpu")))
    temperature = torch.tensor(0.1, requires_grad=True)
    compiled = torch.compile(ops.info_nce, fullgraph=True, backend="aot_eager")
    options = {"symmetric": True, "negatives": "joint", "crops": 4}
    got, want = (gradients(f, query, key, 0.1, **options) for f in (compiled, ops.info_nce))
    assert all(torch.equal(x, y) for x, y in zip(got, want, strict=True))
    torch.testing.assert_close(compiled(query, key), ops.info_nce(query, key))
    assert temperature.requires_grad


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"query": [1.0]}, TypeError, "query must be .* tensor, not list"),
        ({"query": torch.ones(6, 4, dtype=torch.int64)}, TypeError, "query must be .*float32.*, not int64"),
        ({"key": torch.ones(6, 4, dtype=torch.float64)}, TypeError, "key must be float32, not float64"),
        ({"query": torch.ones(6)}, ValueError, r"query must be \[N, D\], not \[6\]"),
        ({"key": torch.ones(6, 5)}, ValueError, r"key must be \[6, 4\] like query, not \[6, 5\]"),
        ({"temperature": 0.0}, ValueError, "temperature must be finite and above 0, not 0.0"),
        ({"temperature": float("nan")}, ValueError, "temperature must be finite and above 0, not nan"),
        ({"temperature": torch.tensor(-1.0)}, ValueError, "temperature must be finite and above 0, not -1.0"),
        ({"temperature": torch.tensor(torch.inf)}, ValueError, "temperature must be finite and above 0, not inf"),
        ({"temperature": torch.ones(1)}, ValueError, r"temperature must be a number or a tensor \[\], not \[1\]"),
        ({"temperature": torch.tensor(1)}, TypeError, "temperature must be .*, not int64"),
        ({"temperature": "warm"}, TypeError, r"temperature must be a number or a tensor \[\], not 'warm'"),
        ({"negatives": "some"}, ValueError, "negatives must be one of all, joint, not 'some'"),
        ({"crops": 4}, ValueError, "crops must divide the 6 rows, not 4"),
        ({"crops": "2"}, TypeError, "crops must be an integer of at least 1, not '2'"),
        ({"crops": 2.0}, TypeError, "crops must be an integer of at least 1, not 2.0"),
        ({"group": "world"}, TypeError, "group must be a torch.distributed.ProcessGroup or None, not 'world'"),
        ({"symmetric": "yes"}, TypeError, "symmetric must be True or False, not 'yes'"),
        ({"precision": 3}, ValueError, "precision must be one of fp32, .*, not 3"),
        ({"crops": 0}, ValueError, "crops must be an integer of at least 1, not 0"),
        (
            {"query": torch.ones(6, 4).double(), "key": torch.ones(6, 4).double(), "precision": "bf16"},
            ValueError,
            "precision must be \"fp32\" for float64 rows, not 'bf16'",
        ),
        ({"precision": "fp16"}, ValueError, "precision must be one of fp32, tf32, 3xtf32, bf16, not 'fp16'"),
    ],
)
def test_refused(change, error, message):
    arguments = {"query": torch.ones(6, 4), "key": torch.ones(6, 4), **change}
    with pytest.raises(error, match=message) as caught:
        ops.info_nce(**arguments)
    assert "\n" not in str(caught.value)
