import numpy as np
import pytest

from avsa_fast.prepare import duplicates
from avsa_fast.prepare.duplicates import Match, nearest


def words(rng: np.random.Generator, count: int) -> list[list[int]]:
    return rng.integers(0, 2**32, (count, 4), dtype=np.uint32).tolist()


def with_errors(print_: list[int], bits: list[int]) -> list[int]:
    """A fingerprint with some bits inverted."""
    changed = list(print_)
    for bit in bits:
        changed[bit // 32] ^= 1 << bit % 32
    return changed


def test_near_ones_are_found(rng: np.random.Generator) -> None:
    others, strangers = words(rng, 500), words(rng, 200)
    near = [with_errors(others[100 + i], [3 * i, 64 + i, 127 - i]) for i in range(20)]
    found = nearest([*strangers, *near], others, limit=10)
    assert found == {200 + i: Match(100 + i, 3) for i in range(20)}


def test_the_nearest_is_found(rng: np.random.Generator) -> None:
    (own,) = words(rng, 1)
    others = [with_errors(own, [5, 70, 90]), with_errors(own, [40]), with_errors(own, list(range(0, 120, 6)))]
    assert nearest([own], others, limit=20) == {0: Match(1, 1)}
    assert nearest([own], others[::2], limit=20) == {0: Match(0, 3)}
    assert nearest([own], others[2:], limit=19) == {}


@pytest.mark.parametrize(("errors", "share"), [(10, 0.9), (20, 0.6)])
def test_share_found(errors: int, share: float, rng: np.random.Generator) -> None:
    """98 % and 77 % of 400 in the mean, with standard deviations of .7 % and 2.1 %."""
    others = words(rng, 400)
    own = [with_errors(print_, rng.choice(128, errors, replace=False).tolist()) for print_ in others]
    found = nearest(own, others, limit=20)
    assert len(found) / 400 > share
    assert all(match == Match(number, errors) for number, match in found.items())


def test_clips_without_a_fingerprint(rng: np.random.Generator) -> None:
    (own,) = words(rng, 1)
    assert nearest([None, own, None], [None, None, own], limit=0) == {1: Match(2, 0)}
    assert nearest([None], [own], limit=20) == {}
    assert nearest([own], [None], limit=20) == {}
    assert nearest([], [], limit=20) == {}


def test_many_equal_ones(rng: np.random.Generator) -> None:
    (own,) = words(rng, 1)
    found = nearest([own] * 3, [own] * 10_000, limit=5)
    assert found == {number: Match(0, 0) for number in range(3)}


def test_common_keys_are_passed_over_but_equal_prints_found(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duplicates, "MAX_SHARED", 8)
    (own,) = words(rng, 1)
    others = [with_errors(own, [120 + number]) for number in range(8)]  # bits that are in no key
    assert nearest([own, others[7]], others, limit=3) == {0: Match(0, 1), 1: Match(7, 0)}
    more = [*others, with_errors(own, [120, 121])]
    assert nearest([own, others[7]], more, limit=3) == {1: Match(7, 0)}
