"""The training loop of all nets.

Every epoch has random numbers of its own, drawn from the seed and the epoch's number: two trainings of one seed are
equal on one device, and one that went on from a checkpoint equals one that was never interrupted. It ends after its
epochs, where the score of later examples has not risen for some epochs, or where its seconds are spent; the weights of
the best epoch stay. What a budget cuts short depends on the machine, and ``Course.ended`` says so.

I. Loshchilov, F. Hutter, "Decoupled Weight Decay Regularization" (AdamW), ICLR 2019.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import nn

from capflow_assets.errors import EvidenceError
from capflow_assets.learning.nets.checkpoints import Checkpoint, Progress
from capflow_assets.learning.nets.devices import Device, repeatable
from capflow_assets.learning.nets.weights import snapshot

Arrays = tuple[np.ndarray, ...]
# The batches of one epoch: from its random numbers and the size of a batch.
Batches = Callable[[np.random.Generator, int], Iterator[Arrays]]
Loss = Callable[..., torch.Tensor]
LARGEST_GRADIENT = 1.0
# Steps grow shorter, epoch by epoch, down to nearly this share: the last ones settle what the first ones learned.
LAST_RATE = 0.1


@dataclass(frozen=True, slots=True)
class Plan:
    """How a net learns: at most so many ``epochs`` and ``seconds``, ``batch`` examples a step.

    ``patience`` is after how many epochs without a better score it ends.
    """

    seed: int = 0
    epochs: int = 10
    seconds: float = 60.0
    patience: int = 2
    batch: int = 64
    rate: float = 0.01
    decay: float = 1e-2
    threads: int = 1


@dataclass(frozen=True, slots=True)
class Course:
    """How a training went: ``losses`` (mean) and ``scores`` of its epochs, which of them was best (from 1), and why
    it ended; the ``seconds`` that it took, and the share of them that its batches took to come.
    """

    losses: tuple[float, ...]
    scores: tuple[float, ...]
    best_epoch: int
    ended: Literal["epochs", "patience", "seconds"]
    seconds: float
    loading_share: float
    device: str


def train(
    net: nn.Module,
    batches: Batches,
    loss: Loss,
    plan: Plan,
    score: Callable[[], float] | None = None,
    checkpoint: Checkpoint | None = None,
) -> Course:
    """Train the net, in place, and leave it with the weights of its best epoch, ready to answer, on the CPU.

    ``loss(net, *tensors)`` is the mean loss of one batch. ``score``, higher is better, is asked after each epoch, while
    the net is in the state to answer; without one the last epoch is the best. With a ``checkpoint`` what an earlier
    process reached is gone on from, and the file is removed at the end.

    Raises:
        EvidenceError: there is no batch to learn from, or the loss is no number.
    """
    with repeatable(plan.threads):
        return _Training(net, batches, loss, plan, score, checkpoint).run()


@dataclass(slots=True)
class _Training:
    net: nn.Module
    batches: Batches
    loss: Loss
    plan: Plan
    score: Callable[[], float] | None
    checkpoint: Checkpoint | None
    loading: float = 0.0

    def run(self) -> Course:
        plan, device = self.plan, Device.best()
        self.net.to(device.name)
        optimizer = torch.optim.AdamW(self.net.parameters(), lr=plan.rate, weight_decay=plan.decay)
        progress, best = self.checkpoint.resume(self.net, optimizer) if self.checkpoint else (Progress(), {})
        begun, before = time.perf_counter(), progress.seconds
        ended = self._end(progress)
        while ended is None:
            progress.losses.append(self._epoch(optimizer, device, progress.epochs, begun - before))
            progress.scores.append(self._score())
            progress.seconds = before + time.perf_counter() - begun
            if self.score is None or progress.scores[-1] > max([-math.inf, *progress.scores[:-1]]):
                best, progress.best_epoch = snapshot(self.net), progress.epochs
            if self.checkpoint:
                self.checkpoint.save(self.net, best, optimizer, progress)
            ended = self._end(progress)
        self.net.load_state_dict(best)
        self.net.to("cpu").eval()
        if self.checkpoint:
            self.checkpoint.remove()
        seconds = max(progress.seconds, 1e-9)
        scores = tuple(progress.scores) if self.score else ()
        share = min(1.0, self.loading / seconds)
        return Course(tuple(progress.losses), scores, progress.best_epoch, ended, seconds, share, device.name)

    def _end(self, progress: Progress) -> Literal["epochs", "patience", "seconds"] | None:
        if progress.epochs >= self.plan.epochs:
            return "epochs"
        if self.score and progress.epochs - progress.best_epoch >= self.plan.patience:
            return "patience"
        return "seconds" if progress.epochs and progress.seconds >= self.plan.seconds else None

    def _score(self) -> float:
        if self.score is None:
            return math.nan
        self.net.eval()
        with torch.inference_mode():
            return float(self.score())

    def _epoch(self, optimizer: torch.optim.Optimizer, device: Device, epoch: int, begun: float) -> float:
        """One pass over the batches, or as much of it as the seconds allow; the mean loss."""
        plan = self.plan
        torch.manual_seed(plan.seed * 1_000_003 + epoch)
        for group in optimizer.param_groups:
            group["lr"] = plan.rate * (1 - epoch / plan.epochs * (1 - LAST_RATE))
        self.net.train()
        total, steps = torch.zeros((), device=device.name), 0
        for tensors in self._loaded(np.random.default_rng([plan.seed, epoch]), device):
            with device.precision():
                value = self.loss(self.net, *tensors)
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            nn.utils.clip_grad_norm_(self.net.parameters(), LARGEST_GRADIENT)
            optimizer.step()
            total, steps = total + value.detach(), steps + 1
            if time.perf_counter() - begun >= plan.seconds:
                break
        mean = float(total) / max(1, steps)
        if not steps or not math.isfinite(mean):
            expected = "batches of examples" if not steps else "a loss that is a number"
            raise EvidenceError(
                "A net has nothing to learn from", expected=expected, came=f"{steps} steps, loss {mean}"
            )
        return mean

    def _loaded(self, random: np.random.Generator, device: Device) -> Iterator[tuple[torch.Tensor, ...]]:
        batches = self.batches(random, self.plan.batch * device.batches)
        while True:
            begun = time.perf_counter()
            arrays = next(batches, None)
            if arrays is None:
                return
            tensors = tuple(torch.from_numpy(array).to(device.name, non_blocking=True) for array in arrays)
            self.loading += time.perf_counter() - begun
            yield tensors
