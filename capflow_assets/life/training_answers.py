"""The answers of a training for everybody who is known, for the scoring that follows it in the same run.

A training answers for all subjects to keep their distribution; the scoring after it would ask the same version of the
same subjects once more. So the answers wait in a file of this machine, under the digest of the version's estimator,
until the scoring takes them: neither the lake nor the process holds them. Where an estimator can answer without reasons
the training does, and nothing is kept: reasons are what is dear, and only the scoring needs them.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Self

from capflow_assets.contract import Examples

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class TrainingAnswers:
    """Answers by the digest of the estimator that gave them; a context, at whose end the files are gone."""

    _open: ExitStack = field(default_factory=ExitStack)
    _folder: Path | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()
        self._folder = None

    def keep(self, digest: str, moment: datetime, population: Examples, answers: pd.DataFrame) -> None:
        """Keep what an estimator answers for a population as of a moment."""
        if self._folder is None:
            self._folder = Path(self._open.enter_context(TemporaryDirectory(prefix="capflow-training-")))
        place = self._folder / _name(digest, moment)
        place.mkdir()
        population.columns[[]].to_parquet(place / "subjects.parquet")
        answers.to_parquet(place / "answers.parquet")

    def of(self, digest: str, moment: datetime, examples: Examples) -> pd.DataFrame | None:
        """What an estimator answers for just those subjects, in their order; None where that is not kept."""
        import numpy as np
        import pandas as pd

        place = None if self._folder is None else self._folder / _name(digest, moment)
        if place is None or not place.exists():
            return None
        known, index = pd.read_parquet(place / "subjects.parquet").index, examples.columns.index
        if len(known) != len(index) or not index.is_unique or not index.isin(known).all():
            return None
        answers = pd.read_parquet(place / "answers.parquet")
        if known.equals(index):
            return answers
        return answers.iloc[np.argsort(index.get_indexer(answers.index), kind="stable")]


def _name(digest: str, moment: datetime) -> str:
    return f"{digest}-{moment:%Y%m%dT%H%M%S%f}"
