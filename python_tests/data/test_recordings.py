"""Which clips are parts of one recording, and the choice of whole recordings to hold out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avsa_fast.data.recordings import hold_out, recording_of

# Names of any kind: of the form {id}-{second}, with other numbers and separators, and without.
NAMES = st.lists(
    st.one_of(
        st.builds("{}-{}".format, st.sampled_from("abcdefgh"), st.integers(0, 90)),
        st.text(st.sampled_from("ab-_1 é."), min_size=1, max_size=6),
    ),
    unique=True,
    max_size=60,
)


@pytest.mark.parametrize(
    ("name", "recording"),
    [
        ("kqAZkf5Odyw-80", "kqAZkf5Odyw"), ("a-b-7-10", "a-b-7"), ("-_x-0", "-_x"), ("a-b", "a-b"), ("a000", "a000"),
        ("take-1.5", "take-1.5"), ("-10", "-10"), ("a-", "a-"), ("a-١", "a-١"), ("scene_0001", "scene_0001"),
    ],
)  # fmt: skip
def test_recordings(name: str, recording: str) -> None:
    assert recording_of(name) == recording


@given(NAMES, st.integers(0, 30))
def test_whole_recordings_are_held_out(names: list[str], count: int) -> None:
    held_out = hold_out(names, count)
    kept = set(names) - held_out
    assert held_out <= set(names)
    assert not {recording_of(name) for name in held_out} & {recording_of(name) for name in kept}
    assert hold_out(names[::-1], count) == held_out
    if count and len({recording_of(name) for name in names}) > 1:
        assert held_out
    else:
        assert not held_out


@given(st.integers(1, 20), st.integers(5, 200))
def test_as_many_clips_as_wanted_if_recordings_are_small(size: int, recordings: int) -> None:
    """A fifth of the clips, to within half of a recording."""
    names = [f"r{recording}-{second}" for recording in range(recordings) for second in range(size)]
    wanted = max(1, round(0.2 * len(names)))
    assert abs(len(hold_out(names, wanted)) - wanted) <= size / 2


def test_a_recording_with_most_clips_is_not_held_out() -> None:
    names = [f"long-{second}" for second in range(90)] + [f"short{number}" for number in range(10)]
    held_out = hold_out(names, 20)
    assert held_out == set(names[90:])
    assert hold_out([f"long-{second}" for second in range(90)] + ["a-1", "a-2", "a-3"], 1) == {"a-1", "a-2", "a-3"}
