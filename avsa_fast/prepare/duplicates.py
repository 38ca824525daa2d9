"""Search for nearly equal fingerprints, as of clips of the test split in the training split."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from avsa_fast.data.fingerprints import BITS, WORD

KEY_BITS, KEYS = 12, 10  # near fingerprints are found by a key that they share, of so many bits each
MAX_SHARED = 256  # maximum number of fingerprints that share a key: if more do, it says little and costs much
CANDIDATES = 1_000_000  # compared at a time, to limit memory
BITS_OF_BYTE = np.array([value.bit_count() for value in range(256)], np.uint8)

Words = NDArray[np.uint32]
Numbers = NDArray[np.int64]


class Match(NamedTuple):
    """The nearest of the other fingerprints.

    Attributes:
        other: Its number.
        distance: Number of bits that differ.
    """

    other: int
    distance: int


def nearest(prints: Sequence[list[int] | None], others: Sequence[list[int] | None], limit: int) -> dict[int, Match]:
    """Finds near fingerprints in O(n log n).

    All equal ones are found, and of those that differ in d bits at random about 1 - (1 - (1 - d/128)¹²)¹⁰: 98 % for
    d = 10, 77 % for d = 20.

    Args:
        prints: Fingerprints of four words of 32 bits; None for clips without one.
        others: Fingerprints to search.
        limit: Maximum number of bits that may differ.

    Returns:
        For the number of each fingerprint that has a near one among the others: the nearest.
    """
    (own, own_numbers), (theirs, their_numbers) = _distinct(prints), _distinct(others)
    if not len(own) or not len(theirs):
        return {}
    # For each fingerprint, distance * len(theirs) + number of the nearest: the smaller, the nearer.
    codes = np.full(len(own), (limit + 1) * len(theirs), np.int64)
    for own_keys, their_keys in zip(_keys(own), _keys(theirs), strict=True):
        for left, right in _candidates(own_keys, their_keys):
            distance = BITS_OF_BYTE[(own[left] ^ theirs[right]).view(np.uint8)].sum(1, dtype=np.int64)
            starts = np.flatnonzero(np.diff(left, prepend=-1))  # `left` is sorted
            nearest_code = np.minimum.reduceat(distance * len(theirs) + right, starts)
            codes[left[starts]] = np.minimum(codes[left[starts]], nearest_code)
    equal = {words.tobytes(): number for number, words in enumerate(theirs)}
    found: dict[int, Match] = {}
    for words, code, numbers in zip(own, codes.tolist(), own_numbers, strict=True):
        distance, number = divmod(equal.get(words.tobytes(), code), len(theirs))
        if distance <= limit:
            found |= dict.fromkeys(numbers, Match(their_numbers[number][0], distance))
    return found


def _distinct(prints: Sequence[list[int] | None]) -> tuple[Words, list[list[int]]]:
    """The distinct fingerprints [n, 4], and the numbers of the clips that have each."""
    numbers: dict[tuple[int, ...], list[int]] = {}
    for number, words in enumerate(prints):
        if words and len(words) == BITS // WORD:
            numbers.setdefault(tuple(words), []).append(number)
    return np.array(list(numbers), np.uint32).reshape(-1, BITS // WORD), list(numbers.values())


def _keys(words: Words) -> Iterator[Numbers]:
    """The keys [n] of fingerprints [n, 4], one after another."""
    bits = np.unpackbits(words.view(np.uint8), axis=1)
    for key in range(KEYS):
        yield bits[:, key * KEY_BITS : (key + 1) * KEY_BITS] @ (1 << np.arange(KEY_BITS))


def _candidates(own: Numbers, theirs: Numbers) -> Iterator[tuple[Numbers, Numbers]]:
    """Yields the numbers of pairs with equal keys, sorted by the first of the pair."""
    order = np.argsort(theirs, kind="stable")
    first, last = (np.searchsorted(theirs[order], own, side) for side in ("left", "right"))
    counts = np.where(last - first <= MAX_SHARED, last - first, 0)
    ends = counts.cumsum()
    begin = 0
    while begin < len(own):
        done = ends[begin] - counts[begin]
        end = max(begin + 1, int(np.searchsorted(ends, done + CANDIDATES, "right")))
        count = counts[begin:end]
        if total := int(count.sum()):
            within = np.arange(total) - np.repeat(count.cumsum() - count, count)
            yield np.repeat(np.arange(begin, end), count), order[np.repeat(first[begin:end], count) + within]
        begin = end
