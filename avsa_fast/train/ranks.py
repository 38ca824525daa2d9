"""Distributed training: the processes started by torchrun, and their communication."""

import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

from avsa_fast.errors import UserError


@dataclass(frozen=True)
class Ranks:
    """This process's rank among those that train together.

    Attributes:
        rank: Rank of this process.
        count: Number of ranks.
        group: Process group, or None with a single process.
        restarts: How often torchrun has restarted the processes after a failure.
    """

    rank: int = 0
    count: int = 1
    group: Any = None
    restarts: int = 0

    @property
    def first(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0

    def any(self, flag: bool, device: torch.device) -> bool:
        """Reduces a flag over all ranks. A collective operation: every rank must call it.

        Args:
            flag: This rank's flag.
            device: Device for the reduction: the rank's GPU with NCCL, the CPU with Gloo.

        Returns:
            Whether the flag is set on any rank.
        """
        if self.count == 1:
            return flag
        flags = torch.tensor(int(flag), device=device)
        dist.all_reduce(flags, dist.ReduceOp.MAX, group=self.group)
        return bool(flags.item())

    def gather(self, value: list[str]) -> list[str]:
        """Concatenates the lists of all ranks. A collective operation: every rank must call it.

        Args:
            value: This rank's list.

        Returns:
            The lists in rank order.
        """
        if self.count == 1:
            return value
        parts: list[list[str]] = [[] for _ in range(self.count)]
        dist.all_gather_object(parts, value, group=self.group)
        return [name for part in parts for name in part]

    def average(self, tensors: Iterable[torch.Tensor]) -> None:
        """Replaces tensors by their means over all ranks. A collective operation: every rank must call it.

        Args:
            tensors: Tensors of the same shapes on every rank.
        """
        if self.count > 1:
            for tensor in tensors:
                dist.all_reduce(tensor, group=self.group)
                tensor /= self.count

    def copy_first(self, tensors: Iterable[torch.Tensor]) -> None:
        """Replaces tensors by those of the first rank. A collective operation: every rank must call it.

        Args:
            tensors: Tensors of the same shapes on every rank.
        """
        if self.count > 1:
            for tensor in tensors:
                dist.broadcast(tensor, 0, group=self.group)

    def wait(self) -> None:
        """Waits until all ranks have reached this call."""
        if self.count > 1:
            dist.barrier(group=self.group)


@contextmanager
def joined_ranks(device: torch.device) -> Iterator[tuple[Ranks, torch.device]]:
    """Context manager that joins the process group of torchrun and leaves it on exit.

    Without torchrun, or with one process, no group is created.

    Args:
        device: Requested device; on several ranks, "cuda" becomes the GPU of the local rank.

    Yields:
        The ranks and this process's device.

    Raises:
        UserError: If torchrun started more processes than there are GPUs.
    """
    restarts = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Ranks(restarts=restarts), device
        return
    if device.type == "cuda":
        local = int(os.environ["LOCAL_RANK"])
        if local >= torch.cuda.device_count():
            raise UserError(f"{torch.cuda.device_count()} GPUs for more processes; lower torchrun --nproc-per-node")
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    # torch 2.14 deprecates these names; torch 2.11 lacks the new ones.
    warnings.filterwarnings("ignore", r"`torch\.distributed\.\w+_tensor` is deprecated", FutureWarning)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size(), dist.group.WORLD, restarts), device
    finally:
        dist.destroy_process_group()
