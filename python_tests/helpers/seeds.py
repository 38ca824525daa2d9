"""Fixed seeds: a test draws the same random numbers in every run, regardless of other tests and their order."""

import hashlib
import os

DRAW = int(os.environ.get("AVSA_TEST_SEED", "0"))  # changes all random numbers


def seed_of(name: str) -> int:
    """Returns a 32-bit seed for the test, or shared fixture, of this name."""
    return int.from_bytes(hashlib.sha256(f"{DRAW} {name}".encode()).digest()[:4])
