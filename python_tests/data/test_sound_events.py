from pathlib import Path

import pytest

from avsa_fast.data.sound_events import SoundEvent, read_events, write_events
from avsa_fast.errors import UserError


def test_every_number_of_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("0,3,-170,20\n1,3,2,-170.5,20\n2,3,2,-170,20,173\n")
    assert list(read_events(path)) == [
        SoundEvent(0, 3, 0, -170.0, 20.0),
        SoundEvent(1, 3, 2, -170.5, 20.0),
        SoundEvent(2, 3, 2, -170.0, 20.0, 173.0),
    ]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    events = [SoundEvent(0, 1, 2, -179.9, 45.5, 1.25), SoundEvent(7, 0, 0, 0.0, -90.0)]
    write_events(tmp_path / "a.csv", events)
    assert (tmp_path / "a.csv").read_text() == "0,1,2,-179.9,45.5,1.25\n7,0,0,0.0,-90.0\n"
    assert list(read_events(tmp_path / "a.csv")) == events


@pytest.mark.parametrize("line", ["0,0,0,0,0,-1", "0,0,0,0,0,inf", "0,0,0,0,0,x", "0,0,0,0.1,0.2,0.9,1", "0,0,0"])
def test_what_is_no_event(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.csv").write_text(f"0,0,0,0,0,1\n{line}\n")
    with pytest.raises(UserError, match=r"a\.csv: line 2 is .*, not frame, class, source, azimuth, elevation in deg"):
        list(read_events(tmp_path / "a.csv"))
