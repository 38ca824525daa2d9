"""Fixed seeds: a test draws the same random numbers in every run, regardless of other tests and their order."""

import hashlib
import os


def draw() -> int:
    """Returns AVSA_TEST_SEED, which changes all random numbers."""
    return int(os.environ.get("AVSA_TEST_SEED", "0"))


def seed_of(name: str) -> int:
    """Returns a 32-bit seed for the test, or shared fixture, of this name."""
    return int.from_bytes(hashlib.sha256(f"{draw()} {name}".encode()).digest()[:4])
