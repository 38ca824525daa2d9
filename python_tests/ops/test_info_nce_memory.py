"""InfoNCE's memory use: small, and linear in N."""

import sys

import pytest
from helpers.commands import run

# Prints the bytes that forward and backward need, in addition to rows and their gradients.
SCRIPT = """
import resource, sys, torch
from avsa_fast import ops
rows, D = map(int, sys.argv[1:])
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
query, key = (torch.randn(rows, D, requires_grad=True) for _ in range(2))
small = torch.randn(300, D, requires_grad=True)
ops.info_nce(small, small, symmetric=True).backward()
before = peak()
ops.info_nce(query, key, symmetric=True).backward()
print(peak() - before - query.nbytes - key.nbytes)
"""


def extra_bytes(rows: int, D: int) -> int:
    return int(run(sys.executable, "-c", SCRIPT, rows, D, check=True).stdout)


def test_memory_is_less_than_a_matrix():
    assert extra_bytes(8192, 16) < 8 * 2**20  # a matrix of cosines takes 256 MiB


@pytest.mark.slow
def test_memory_of_65536_rows():
    assert extra_bytes(65536, 128) <= 64e6
