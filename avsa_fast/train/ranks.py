"""The processes that train together, as torchrun starts them; one alone needs none of it."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

from avsa_fast.errors import UserError


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together. group: None where it is alone."""

    rank: int = 0
    count: int = 1
    group: Any = None
    restarts: int = 0  # how often torchrun has started them anew after a failure

    @property
    def first(self) -> bool:
        return self.rank == 0

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether the flag is set on some rank. All ranks must ask."""
        if self.count == 1:
            return flag
        flags = torch.tensor(int(flag), device=device)
        dist.all_reduce(flags, dist.ReduceOp.MAX, group=self.group)
        return bool(flags.item())

    def gather(self, value: list[str]) -> list[str]:
        """The lists of all ranks, one after the other. All ranks must ask."""
        if self.count == 1:
            return value
        parts: list[list[str]] = [[] for _ in range(self.count)]
        dist.all_gather_object(parts, value, group=self.group)
        return [name for part in parts for name in part]

    def wait(self) -> None:
        """Returns once all ranks have come here."""
        if self.count > 1:
            dist.barrier(group=self.group)


@contextmanager
def joined(device: torch.device) -> Iterator[tuple[Ranks, torch.device]]:
    """This process's place among those of torchrun, and its device: with "cuda", the GPU of its local rank.

    Raises UserError where torchrun started more processes than there are GPUs.
    """
    restarts = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Ranks(restarts=restarts), device
        return
    if device.type == "cuda":
        local = int(os.environ["LOCAL_RANK"])
        if local >= torch.cuda.device_count():
            raise UserError(
                f"{torch.cuda.device_count()} GPUs for more processes; torchrun --nproc-per-node has the count"
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    # torch 2.14 calls them by new names, which torch 2.11 does not have.
    warnings.filterwarnings("ignore", r"`torch\.distributed\.\w+_tensor` is deprecated", FutureWarning)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size(), dist.group.WORLD, restarts), device
    finally:
        dist.destroy_process_group()
