"""Answers for many subjects, some at a time, as the rows of one table.

The rank of each answer depends on the scores of all. So the answers go to files first, and are read again, part by
part, when all have been given. One part alone stays in memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

from capflow_assets.contract import Model
from capflow_assets.life.answers import rows_of, schema_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Totals:
    """What all answers of a scoring come to: rows, subjects, how many are in each band, and the means of figures."""

    rows: int
    subjects: int
    bands: Mapping[str, int]
    means: Mapping[str, float]


@dataclass
class AnswerParts:
    """The answers of one version as of one moment; a context, at whose end its files are gone."""

    model: Model[Any]
    version: int
    as_of: datetime
    rung: str = "own"
    subjects: int = 0
    row_count: int = 0
    bands: Counter[str] = field(default_factory=Counter)
    sums: dict[str, float] = field(default_factory=dict)
    _scores: list[np.ndarray] = field(default_factory=list)
    _newest: pd.DataFrame | None = None
    _files: list[Path] = field(default_factory=list)
    _folder: Path | None = None
    _open: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def add(self, answers: pd.DataFrame) -> None:
        """Some more answers, of other subjects than before."""
        if self._newest is not None:
            self._put_away(self._newest)
        self._newest = answers
        self.subjects += int(answers.index.nunique())
        self.row_count += len(answers)
        if self.model.answer.ranked_by:
            self._scores.append(answers["score"].to_numpy(dtype=float))
        for name in self._figures:
            if answers[name].dtype.kind in "iuf":
                self.sums[name] = self.sums.get(name, 0.0) + float(answers[name].sum())

    def rows(self) -> pa.RecordBatchReader:
        """The rows of the table, part by part; those of a score with their ranks among all."""
        import numpy as np
        import pyarrow as pa

        scores = np.concatenate(self._scores) if self._scores else None
        frames = (
            rows_of(self.model, answers, self.version, self.as_of, scores, self.rung) for answers in self._answers()
        )
        first = next(frames)
        schema = schema_of(self.model, first)

        def batches() -> Iterator[pa.RecordBatch]:
            for frame in chain([first], frames):
                self.bands.update(frame["band"].dropna() if "band" in frame else ())
                yield from pa.Table.from_pandas(frame, schema=schema, preserve_index=False).to_batches()

        return pa.RecordBatchReader.from_batches(schema, batches())

    def totals(self) -> Totals:
        """What the answers come to; bands are those of the rows that were read."""
        means = {name: total / max(self.row_count, 1) for name, total in self.sums.items()}
        return Totals(self.row_count, self.subjects, dict(self.bands), means)

    @property
    def _figures(self) -> list[str]:
        answer = self.model.answer
        return ["score"] if answer.ranked_by else [column.name for column in answer.columns]

    def _put_away(self, answers: pd.DataFrame) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self._folder is None:
            self._folder = Path(self._open.enter_context(TemporaryDirectory(prefix="capflow-answers-")))
        file = self._folder / f"{len(self._files)}.parquet"
        pq.write_table(pa.Table.from_pandas(answers.reset_index(), preserve_index=False), file)
        self._files.append(file)

    def _answers(self) -> Iterator[pd.DataFrame]:
        import pyarrow.parquet as pq

        for file in self._files:
            yield pq.read_table(file).to_pandas().set_index(list(self.model.subject.key))
        if self._newest is not None:
            yield self._newest
