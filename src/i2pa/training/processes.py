"""One process or several that train together (torchrun): who does what, and sums over all."""

from __future__ import annotations

import itertools
import os
import pickle
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import distributed, nn

K = TypeVar("K")
V = TypeVar("V")

_LOOK_SECONDS = 0.2
_turns = itertools.count()


@dataclass(frozen=True)
class Processes:
    """`n` processes, of which this is number `rank`, and the device that it computes on."""

    device: torch.device
    n: int = 1
    rank: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this one writes files and speaks."""
        return self.rank == 0

    def shared(self, network: nn.Module) -> nn.Module:
        """The network, its gradients averaged over the processes at every step."""
        if self.n == 1:
            return network
        return nn.parallel.DistributedDataParallel(network)

    def no_sync(self, network: nn.Module) -> AbstractContextManager[None]:
        """Gradients of this pass stay here; a later pass brings them together."""
        if isinstance(network, nn.parallel.DistributedDataParallel):
            held: AbstractContextManager[None] = network.no_sync()
            return held
        return nullcontext()

    def share_buffers(self, network: nn.Module) -> None:
        """Give every process the first's buffers: each has batch norm's statistics of its own."""
        if self.n > 1:
            for buffer in network.buffers():
                distributed.broadcast(buffer, src=0)

    def summed(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The sum over processes, in each."""
        if self.n == 1:
            return values
        tensor = torch.from_numpy(values).to(self.device)
        distributed.all_reduce(tensor)
        total: npt.NDArray[np.float64] = tensor.cpu().numpy()
        return total

    def together(self, found: Mapping[K, V]) -> dict[K, V]:
        """What all processes found, in each; of one key what the first of them found."""
        own = np.frombuffer(pickle.dumps(dict(found)), np.uint8)
        lengths = np.zeros(self.n)
        lengths[self.rank] = len(own)
        sizes = self.summed(lengths).astype(int)
        # As numbers, since torch would send objects by a GPU that it chooses for each itself.
        numbers = np.zeros((self.n, sizes.max()))
        numbers[self.rank, : len(own)] = own
        parts = self.summed(numbers).astype(np.uint8)
        each = [
            pickle.loads(part[:size].tobytes()) for part, size in zip(parts, sizes, strict=True)
        ]
        return {key: value for part in reversed(each) for key, value in part.items()}


def is_alone() -> bool:
    """Whether torchrun started no other process beside this one."""
    return os.environ.get("WORLD_SIZE", "1") == "1"


def is_first_process() -> bool:
    """Whether this process is alone, or the one that writes and speaks."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def first_before_others() -> Iterator[None]:
    """The first process goes through this alone, then the others, who find what it has kept.

    Hours may pass before that, more than a barrier bears. Where the first one fails the others
    wait until they are stopped, as torchrun does.
    """
    if is_alone():
        yield
        return
    store, turn = _store(), f"i2pa/turn-{next(_turns)}"
    while not is_first_process() and not store.check([turn]):
        # Asked again and again, since Ctrl-C does not end a wait of the store's own.
        time.sleep(_LOOK_SECONDS)
    yield
    if is_first_process():
        store.set(turn, "over")


@cache
def _store() -> Any:
    """What all processes read and write; the first may serve it, so it lasts as long as they."""
    # Not every build of torch has it.
    from torch.distributed.rendezvous import rendezvous

    store, _, _ = next(rendezvous("env://"))
    return store


@contextmanager
def processes(device: str | None = None) -> Iterator[Processes]:
    """This process alone, or with its like where torchrun started several.

    `device` None: a GPU where there is one (each process its own), else the CPU.
    """
    n, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    name = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda":
        name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    chosen = torch.device(name)
    if n == 1:
        yield Processes(chosen)
        return
    distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Processes(chosen, n, rank)
        # Who leaves early takes the others' connections along.
        distributed.barrier()
    finally:
        distributed.destroy_process_group()
