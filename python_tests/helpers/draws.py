"""Plugin for pytest: prints a hash of all values that tests compare with torch.testing.assert_close.

PYTHONPATH=python_tests python -m pytest -p helpers.draws -s python_tests/ops/test_mix.py
"""

import hashlib
from typing import Any

import pytest
import torch

values = hashlib.sha256()
_assert_close = torch.testing.assert_close


def _hashed(actual: Any, expected: Any, *arguments: Any, **options: Any) -> None:
    for value in (actual, expected):
        values.update(str(value.detach().double().tolist() if isinstance(value, torch.Tensor) else value).encode())
    _assert_close(actual, expected, *arguments, **options)


torch.testing.assert_close = _hashed


def pytest_sessionfinish(session: pytest.Session) -> None:
    print(f"draws: {values.hexdigest()}")
