"""Where a net learns: on a GPU in bfloat16 with larger batches where there is one, else on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch

# A GPU is idle with batches that suit a CPU's caches.
GPU_BATCHES = 8


@dataclass(frozen=True, slots=True)
class Device:
    """``name`` as torch has it, and how many times larger its batches are than those of a CPU."""

    name: str
    batches: int

    @classmethod
    def best(cls) -> Device:
        """The GPU where torch can use one, else the CPU."""
        return cls("cuda", GPU_BATCHES) if torch.cuda.is_available() else cls("cpu", 1)

    @property
    def is_gpu(self) -> bool:
        """Whether it is a GPU."""
        return self.name != "cpu"

    def precision(self) -> AbstractContextManager[object]:
        """In which a step computes: bfloat16 on a GPU, whose exponents are those of float32; float32 on a CPU."""
        return torch.autocast(self.name, dtype=torch.bfloat16) if self.is_gpu else nullcontext()


@contextmanager
def repeatable(threads: int) -> Iterator[None]:
    """On so many threads, and with random numbers of its own: torch's are afterwards as they were before."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng():
            yield
    finally:
        torch.set_num_threads(before)
