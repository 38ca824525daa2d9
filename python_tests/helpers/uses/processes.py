"""Threads, processes, and copies of modules."""

import copy
import multiprocessing
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import cache

import torch
from torch import Tensor

from ..operations import Call, Entry
from .modules import WithParameters
from .registry import PROCESSES, assert_same, use

THREADS = 8
SECONDS = 600  # for a new process to import torch and answer on a loaded machine


@use("threads", PROCESSES, f"from {THREADS} threads at once: the same bits")
def threads(entry: Entry, device: torch.device) -> None:
    calls = [entry().to(device) for _ in range(THREADS)]
    plain = [call.outputs() for call in calls]
    with ThreadPoolExecutor(THREADS) as pool:
        for got, want in zip(pool.map(Call.outputs, calls), plain, strict=True):
            assert_same(got, want)


def remote_outputs(call: bytes) -> bytes:
    """The outputs of a pickled call, pickled: the bytes of a tensor and not its memory go between processes."""
    torch.set_num_threads(1)
    return pickle.dumps(pickle.loads(call).outputs())


def forked_outputs(call: bytes) -> bytes:
    """The same from a process that this one forks, after the same call here."""
    pickle.loads(call).outputs()
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
        return pool.submit(remote_outputs, call).result(SECONDS)


def _assert_same_from_spawned(outputs: Callable[[bytes], bytes], entry: Entry) -> None:
    call = entry()
    got = pickle.loads(_spawned().submit(outputs, pickle.dumps(call)).result(SECONDS))
    assert_same(got, call.outputs())


# Of a spawned process: other tests may have started threads of autograd in this one, which do not survive a fork.
@use("fork", PROCESSES, "in a forked process, after calls in its parent: the same bits")
def fork(entry: Entry, device: torch.device) -> None:
    _assert_same_from_spawned(forked_outputs, entry)


@use("spawn", PROCESSES, "in a spawned process: the same bits", slow=True)
def spawn(entry: Entry, device: torch.device) -> None:
    _assert_same_from_spawned(remote_outputs, entry)


@cache
def _spawned() -> ProcessPoolExecutor:
    """One process for all calls: it imports torch once."""
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))


def _copied_by(copied: Callable[[WithParameters], WithParameters]) -> Callable[[Entry, torch.device], None]:
    """Asserts that a copied module gives the same results before and after the module's first call."""

    def run(entry: Entry, device: torch.device) -> None:
        call = entry().to(device)
        module = WithParameters(call)
        early: list[Tensor] = copied(module).outputs()
        assert_same(early, module.outputs())
        assert_same(early, call.outputs())
        assert_same(copied(module).outputs(), early)

    return run


use("deepcopy", PROCESSES, "`copy.deepcopy` of a module that calls it")(_copied_by(copy.deepcopy))
use("pickle", PROCESSES, "`pickle` of a module that calls it")(_copied_by(lambda x: pickle.loads(pickle.dumps(x))))
