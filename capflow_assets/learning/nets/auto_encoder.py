"""An auto-encoder: rows of numbers squeezed through a few and restored; what cannot be restored is unlike the rest.

It learns which numbers go together (more pieces, a larger amount), so that a row is odd where they do not, however
usual each of them is. Learned under noise (P. Vincent et al., "Extracting and composing robust features with denoising
autoencoders", ICML 2008), by a loss that grows no faster than the error: a few absurd rows among those that it learns
from are not worth restoring (C. Zhou, R. Paffenroth, "Anomaly detection with robust deep autoencoders", KDD 2017).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

NOISE = 0.3


class AutoEncoder(nn.Module):
    """Rows of ``columns`` numbers through ``code`` of them, and back."""

    def __init__(self, columns: int, code: int = 3, width: int = 24) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Linear(columns, width), nn.ELU(), nn.Linear(width, code)),
            *(nn.Linear(code, width), nn.ELU(), nn.Linear(width, columns)),
        )

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """The rows restored: (rows, columns)."""
        restored: torch.Tensor = self.layers(rows)
        return restored


def restoring_loss(net: AutoEncoder, noisy: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """How far rows restored from noisy ones are off; large errors count by their size alone."""
    return nn.functional.huber_loss(net(noisy).float(), rows)


def noisy_rows(values: np.ndarray, random: np.random.Generator, size: int) -> Iterator[tuple[np.ndarray, ...]]:
    """All rows in some order, ``size`` at a time: with noise, and as they are."""
    order = random.permutation(len(values))
    for first in range(0, len(order), size):
        rows = values[order[first : first + size]]
        yield (rows + NOISE * random.standard_normal(rows.shape, dtype=np.float32)), rows


def restoring_errors(net: AutoEncoder, values: np.ndarray) -> np.ndarray:
    """The squared error of each row restored."""
    with torch.inference_mode():
        rows = torch.from_numpy(values)
        return np.asarray(((net(rows) - rows) ** 2).sum(dim=1).double().numpy())
