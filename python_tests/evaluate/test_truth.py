from pathlib import Path

import pytest

from avsa_fast.errors import UserError
from avsa_fast.evaluate.truth import read_truth


@pytest.mark.parametrize(
    "line",
    ["-5,0,0,30,5", "1e12,0,0,30,5", "1,0,0,400,5", "1,0,0,30,95", "1,0,0,1e300,5", "nan,0,0,30,5", "1,0,0,inf,5",
     "1,0,0", "a,b,c,d,e"],
)  # fmt: skip
def test_what_is_not_a_direction(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.csv").write_text(f"1,0,0,30,5\n{line}\n")
    with pytest.raises(UserError, match=r"a\.csv: line 2 is .*, not frame, class, source, azimuth, elevation"):
        read_truth(tmp_path)
