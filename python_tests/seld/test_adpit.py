"""ADPIT against an enumeration of its definition, and properties of it."""

from itertools import permutations

import torch

from avsa_fast.seld.adpit import WAYS, adpit_loss
from avsa_fast.seld.model import TRACKS


def test_the_number_of_ways() -> None:
    assert [sum(n == events for _, n in WAYS) for events in (1, 2, 3)] == [1, 6, 6]


def drawn(counts: list[int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Random output and events of one excerpt of one frame, with a number of events for each class."""
    classes = len(counts)
    events = torch.randn(1, 1, classes, TRACKS, 4)
    for kind, count in enumerate(counts):
        events[..., kind, count:, :] = 0
    return torch.randn(1, 1, TRACKS, classes, 4), events, torch.tensor(counts)[None, None]


def enumerated(tracks: torch.Tensor, events: torch.Tensor) -> float:
    """The least error over all ways to repeat the events [n, 4] up to the number of tracks, and over all orders."""
    if not len(events):
        return float(tracks.square().mean())
    n = len(events)
    repeated = [events] if n == TRACKS else [torch.cat([events, events[i : i + 1]]) for i in range(n)]
    if n == 1:
        repeated = [events.expand(TRACKS, 4)]
    return min(float((tracks - x[list(order)]).square().mean()) for x in repeated for order in permutations(range(3)))


def test_the_definition() -> None:
    for _ in range(20):
        output, events, count = drawn([0, 1, 2, 3])
        expected = sum(enumerated(output[0, 0, :, kind], events[0, 0, kind, :kind]) for kind in range(4)) / 4
        torch.testing.assert_close(float(adpit_loss(output, events, count)), expected, rtol=1e-5, atol=1e-6)


def test_any_order_and_repetition_is_perfect() -> None:
    _, events, count = drawn([2, 3])
    for order in permutations(range(3)):
        output = torch.stack([events[0, 0, 0, [(0, 1, 1)[i] for i in order]], events[0, 0, 1, list(order)]], dim=1)
        assert float(adpit_loss(output[None, None], events, count)) == 0


def test_unknown_distances_have_no_error_and_no_gradient() -> None:
    output, events, count = drawn([2])
    events[..., :2, 3] = torch.nan
    output.requires_grad_()
    loss = adpit_loss(output, events, count)
    loss.backward()
    assert output.grad is not None
    assert output.grad.isfinite().all()
    assert (output.grad[..., 3] == 0).all()
    assert (output.grad[..., :3] != 0).all()
