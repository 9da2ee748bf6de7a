"""What a training has reached, in one file that is whole or not there: a process that is killed goes on from it.

The file is safetensors: the weights, the best weights and the optimizer's state as tensors, and beside them, as text,
which training it is of and how far that came. One of another training, or a damaged one, is no checkpoint.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import nn

LAST, BEST, OPTIMIZER = "last.", "best.", "optimizer."


@dataclass(slots=True)
class Progress:
    """How far a training is: ``losses`` and ``scores`` of its epochs, the best of them, the seconds that it took."""

    losses: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    best_epoch: int = 0
    seconds: float = 0.0

    @property
    def epochs(self) -> int:
        """How many epochs are done."""
        return len(self.losses)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A file, and what the training must be ``of`` to go on from it: a digest of its examples, parameters and code."""

    path: Path
    of: str

    def save(
        self,
        net: nn.Module,
        best: dict[str, torch.Tensor],
        optimizer: torch.optim.Optimizer,
        progress: Progress,
    ) -> None:
        """Replace the file in one step."""
        from safetensors.torch import save_file

        tensors = {LAST + name: tensor for name, tensor in net.state_dict().items()}
        tensors |= {BEST + name: tensor for name, tensor in best.items()}
        for number, state in optimizer.state_dict()["state"].items():
            tensors |= {f"{OPTIMIZER}{number}.{name}": torch.as_tensor(value) for name, value in state.items()}
        apart = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
        beside = self.path.with_name(f"{self.path.name}.new")
        beside.parent.mkdir(parents=True, exist_ok=True)
        save_file(apart, beside, metadata={"of": self.of, "progress": json.dumps(asdict(progress))})
        beside.replace(self.path)

    def resume(self, net: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[Progress, dict[str, torch.Tensor]]:
        """Put the net and its optimizer where the file left them: the progress, and the best weights.

        Where there is no such file they stay as they are, and nothing is done yet.
        """
        from safetensors import SafetensorError, safe_open

        nothing: tuple[Progress, dict[str, torch.Tensor]] = (Progress(), {})
        if not self.path.exists():
            return nothing
        try:
            with safe_open(self.path, framework="pt") as file:
                said = file.metadata() or {}
                if said.get("of") != self.of:
                    return nothing
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
                progress = Progress(**json.loads(said["progress"]))
        except (SafetensorError, OSError, KeyError, TypeError, ValueError):
            return nothing
        where = next(net.parameters()).device
        net.load_state_dict(_below(LAST, tensors))
        optimizer.load_state_dict({**optimizer.state_dict(), "state": _states(_below(OPTIMIZER, tensors))})
        return progress, {name: tensor.to(where) for name, tensor in _below(BEST, tensors).items()}

    def remove(self) -> None:
        """The training is over."""
        self.path.unlink(missing_ok=True)


def _below(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _states(tensors: dict[str, torch.Tensor]) -> dict[int, dict[str, torch.Tensor]]:
    states: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        number, _, key = name.partition(".")
        states.setdefault(int(number), {})[key] = tensor
    return states
