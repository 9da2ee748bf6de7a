"""Examples of a model: what is known of a customer's subjects as of past moments, and what came of them afterwards.

Each moment sees only rows up to itself (``life.past_tables``). Outcomes look at the horizon after the moment and
nowhere else. Rows are read once, whatever the number of moments.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import reduce
from typing import TYPE_CHECKING, Any

from capflow_assets.blueprint.binding import params_of
from capflow_assets.blueprint.specs import ANSWERS, AS_OF, PARAMS, Call, Input, ModelSpec
from capflow_assets.contract import Estimator, Examples, Horizon, Reads, ReadsColumns, Window
from capflow_assets.errors import EvidenceError
from capflow_assets.expressions.micros import moment_of
from capflow_assets.life import answers_history
from capflow_assets.life.menus import offering
from capflow_assets.life.outcome_rows import (
    EVERYBODY,
    MICROS,
    Share,
    aligned,
    of_moment,
    outcome_rows,
    positive_rows,
    rows_so_far,
)
from capflow_assets.life.past_tables import PastTables
from capflow_assets.life.whole_tables import as_of_each

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame

BEGAN_AT = "began_at"
# Of more than half with the outcome there is nothing rare to keep.
MOST_POSITIVES = 0.5


@dataclass
class ExampleReader(PastTables):
    """Reads the examples of one customer for one model, as pandas frames indexed by the subject's key.

    ``chosen`` are those of the joined columns that are read; all where it is None. ``share`` is the part of the
    subjects that is read; where it ``keeps_positives``, examples in which the outcome came are read of all subjects,
    and the others count for those who are not read (``learning.example_weights``). ``params`` are the model's, for
    those of its functions that ask for them; those of the customer's TOML where it is None.
    """

    spec: ModelSpec
    chosen: tuple[str, ...] | None = None
    share: Share = EVERYBODY
    keeps_positives: bool = False
    params: Horizon | None = None

    @property
    def values(self) -> dict[str, Any]:
        """What the model's functions may ask for by name, besides tables and moments."""
        params = self.params or params_of(self.spec.model, self.customer.models.get(self.spec.name, {}))
        return {"zone": self.customer.time_zone, "currency": self.customer.currency, PARAMS: params}

    @property
    def joined(self) -> tuple[Reads, ...]:
        """The tables whose rows are joined, with the columns that are read: all, or those ``chosen``.

        A table of which nothing is chosen is not computed, unless its rows are the subjects.
        """
        if self.chosen is None:
            return self.spec.model.joined
        kept = [
            replace(reads, columns=tuple(name for name in reads.columns if name in self.chosen))
            for reads in self.spec.model.joined
        ]
        is_first_known = self.spec.known is None and self.spec.events is None
        return tuple(reads for place, reads in enumerate(kept) if reads.columns or (is_first_known and place == 0))

    @property
    def columns_read(self) -> tuple[str, ...]:
        """The joined columns that are read, block by block."""
        return tuple(name for reads in self.joined for name in reads.columns)

    def reading(self, estimator: Estimator) -> ExampleReader:
        """The same, of the columns that a fitted estimator reads."""
        if not isinstance(estimator, ReadsColumns):
            return self
        spec = offering(self.spec, self.stages, self.customer, estimator.columns)
        return replace(self, spec=spec, chosen=estimator.columns)

    @property
    def key(self) -> list[str]:
        """The columns that name a subject."""
        return list(self.spec.model.subject.key)

    def state(self, moment: datetime) -> Examples:
        """The subjects known at the moment, to answer for."""
        return self.states([moment])[0]

    def states(
        self, moments: Sequence[datetime], events_until: datetime | None = None, kept: DataFrame | None = None
    ) -> list[Examples]:
        """The subjects known at each of the moments, in their order; or those of the events that began then.

        Whom an event is about may be told after it began: it is read up to ``events_until``. Those ``kept`` are read
        whether they are of the share or not.
        """
        columns, frames = self.columns_at(moments, events_until, kept), self._frames(moments)
        return [
            Examples(frame, None, tables, (moment,), self.customer.time_zone)
            for frame, tables, moment in zip(columns, frames, moments, strict=True)
        ]

    def with_outcomes(self, windows: Sequence[Window]) -> list[Examples]:
        """The subjects known at the start of each window (or of the events then), with what came of them in it.

        Subjects of whom nothing can be said are left out.
        """
        until = max(window.end for window in windows) if self.spec.events else None
        kept = positive_rows(self, windows) if self.keeps_positives else None
        states = self.states([window.start for window in windows], events_until=until, kept=kept)
        outcome = self.spec.model.outcome
        frames = self.outcomes_in(windows, [state.columns.index for state in states])
        known = [_known(state, frame, outcome.absent) for state, frame in zip(states, frames, strict=True)]
        if not self.keeps_positives:
            return known
        return [_weighted(one, outcome.columns[0], self.share.parts) for one in known]

    def sampled(self, windows: Sequence[Window], at_most: int) -> ExampleReader:
        """The same, of so small a share of the subjects that the windows have about ``at_most`` examples together.

        The share is drawn in the engine by a digest of the subjects' keys: it is the same at each moment and each
        training. All are read where they are few, and where the model reads a table whole. Of a chance whose outcome is
        rare, every example in which it came is kept, and the share is drawn of the others.
        """
        if self.spec.model.frames or self.spec.events is not None:
            return self
        block = None if self.spec.known else self.stages.spec(self.joined[0].table).key
        # The block as it lies is of a later moment and has no fewer rows.
        if block is not None and self.lake.exists(self.customer.name, block):
            subjects = self.lake.rows(self.customer.name, block)
        else:
            subjects = self._count(windows[-1].start)
        examples = subjects * len(windows)
        if examples <= at_most:
            return self
        if self._may_keep_positives:
            positives = int(positive_rows(self, windows).count())
            if positives <= at_most * MOST_POSITIVES:
                parts = -(-(examples - positives) // (at_most - positives))
                return replace(self, share=Share(0, parts), keeps_positives=True)
        return replace(self, share=Share(0, -(-examples // at_most)))

    @property
    def _may_keep_positives(self) -> bool:
        """Whether the model learns the chance of one outcome a subject, by weights where there are any."""
        model = self.spec.model
        is_one = not model.outcome.per and not model.outcome.treatment
        return model.objective == "chance" and model.fitted == "past" and is_one

    def parts(self, moment: datetime, at_once: int) -> Iterator[Examples]:
        """The subjects known at the moment, to answer for, about ``at_once`` of them at a time.

        They are told apart by a digest of their keys, so each part is a sample of all. Where the model reads a table
        whole there is one part: what is said of a subject may rest on the others.
        """
        parts = 1 if self.spec.model.frames else max(1, -(-self._count(moment) // at_once))
        for part in range(parts):
            (columns,) = replace(self, share=Share(part, parts)).columns_at([moment])
            yield Examples(columns, None, self._frames([moment])[0], (moment,), self.customer.time_zone)

    def _count(self, moment: datetime) -> int:
        """How many subjects are known at the moment."""
        known = self._subjects((moment,))
        if known is not None:
            return int(known.count())
        spec = self.stages.spec(self.joined[0].table)
        if self.stored(spec, moment) is not None:
            return self.lake.rows(self.customer.name, spec.key)
        return int(self.block(spec, (moment,)).count())

    def columns(self, moment: datetime) -> pd.DataFrame:
        """One row per subject known at the moment; the joined columns."""
        return self.columns_at([moment])[0]

    def frame_at(self, moment: datetime) -> DataFrame:
        """One row per subject known at the moment as a frame of the engine: the key and the joined columns."""
        joined = self.share.of(self._joined((moment,)), self.key)
        return joined.select(*self.key, *(name for name in self.columns_read if name in joined.columns))

    def columns_at(
        self, moments: Sequence[datetime], events_until: datetime | None = None, kept: DataFrame | None = None
    ) -> list[pd.DataFrame]:
        """The joined columns as of each of the moments, in their order; those ``kept`` are read at any rate."""
        from pyspark.sql import functions as F

        joined = self._joined(tuple(sorted(set(moments))), events_until)
        if kept is None:
            joined = self.share.of(joined, self.key)
        else:
            marked = kept.withColumn("_is_kept", F.lit(True))
            joined = joined.withColumn(MICROS, F.unix_micros(AS_OF)).join(marked, [*self.key, MICROS], "left")
            joined = joined.filter(self.share.is_of(self.key) | F.col("_is_kept"))
        known = [name for name in self.columns_read if name in joined.columns]
        rows = joined.select(*self.key, F.unix_micros(AS_OF).alias(MICROS), *known).toPandas()
        return [of_moment(rows, self.key, moment) for moment in moments]

    def _joined(self, distinct_moments: tuple[datetime, ...], events_until: datetime | None = None) -> DataFrame:
        """One row per subject and moment: the key, the moment, and the joined columns."""
        joined = self._of_events(distinct_moments, events_until) if events_until else self._subjects(distinct_moments)
        for reads in self.joined:
            block = self._rows_at(reads.table, distinct_moments)
            on = [name for name in self.key if name in block.columns]
            chosen = block.select(*on, AS_OF, *(name for name in reads.columns if name in block.columns))
            joined = chosen if joined is None else joined.join(chosen, [*on, AS_OF], "left")
        assert joined is not None  # noqa: S101  (refused at load)
        return joined

    def outcomes_in(self, windows: Sequence[Window], subjects: Sequence[pd.Index]) -> list[pd.DataFrame]:
        """What came of the subjects of each window in it.

        One row per subject, in their order, zeros for those without one where that is what it means, else nulls; of
        outcomes with a ``per``, their rows.
        """
        rows = outcome_rows(self, windows, self.share, keeps_positives=self.keeps_positives)
        return [aligned(self.spec, frame, index) for frame, index in zip(rows, subjects, strict=True)]

    def outcomes_so_far(self, looks: Sequence[tuple[Window, datetime]], subjects: pd.Index) -> list[pd.DataFrame]:
        """What stands of the subjects' outcomes in whole windows at a moment in each; else as ``outcomes_in``."""
        return [aligned(self.spec, frame, subjects) for frame in rows_so_far(self, looks, self.share)]

    def events(self, until: datetime) -> list[datetime]:
        """The moments at which the events began that the model's examples are of, oldest first."""
        from pyspark.sql import functions as F

        events = self.spec.events
        assert events is not None  # noqa: S101
        rows = self._called(events, until).select(F.unix_micros(BEGAN_AT).alias(MICROS)).distinct().collect()
        return sorted(moment_of(row[MICROS]) for row in rows if row[MICROS] is not None)

    def _subjects(self, moments: tuple[datetime, ...]) -> DataFrame | None:
        """The subjects of each moment, where they are not the rows of the first joined block."""
        from pyspark.sql import functions as F

        if self.spec.known is None:
            return None
        frames = [
            self._called(self.spec.known, moment).select(*self.key).withColumn(AS_OF, F.lit(moment))
            for moment in moments
        ]
        return reduce(lambda above, below: above.unionByName(below), frames)

    def _rows_at(self, table: str, moments: tuple[datetime, ...]) -> DataFrame:
        """A feature block, or the answers of another model, as of each moment."""
        from pyspark.sql import functions as F

        if not table.startswith(ANSWERS):
            return self.block(self.stages.spec(table), moments)
        model = table.removeprefix(ANSWERS)
        kept = [(answers_history.as_of(self.lake, self.customer.name, model, moment), moment) for moment in moments]
        frames = [answers.withColumn(AS_OF, F.lit(moment)) for answers, moment in kept if answers is not None]
        if not frames:
            raise EvidenceError(
                f"{self.spec.name} has nothing of {table} to learn from",
                expected=f"answers of {model} kept as of {moments[0].isoformat()} or before",
                came="none are kept from so early",
                do=f"let {model} answer for some nights, then train again",
            )
        self.remember(answers_history.table_of(model))
        return reduce(lambda above, below: above.unionByName(below, allowMissingColumns=True), frames)

    def _of_events(self, moments: tuple[datetime, ...], until: datetime) -> DataFrame:
        """The subjects of the events that began at each of the moments, as they are known later."""
        from pyspark.sql import functions as F

        events = self.spec.events
        assert events is not None  # noqa: S101
        begun = self._called(events, until).withColumnRenamed(BEGAN_AT, AS_OF)
        return begun.filter(F.col(AS_OF).isin([F.lit(moment) for moment in moments])).select(*self.key, AS_OF)

    def _called(self, function: Call, moment: datetime) -> DataFrame:
        """A function of the model's subject, called on its tables as of a moment."""
        values = {AS_OF: moment, **self.values}
        frames = {source.parameter: self.table(source, (moment,)) for source in function.inputs}
        rows: DataFrame = function.function(**frames, **{name: values[name] for name in function.injected})
        return rows

    def _frames(self, moments: Sequence[datetime]) -> list[dict[str, tuple[pd.DataFrame, ...]]]:
        """The tables that are read whole, as of each of the moments."""
        tables = {reads.table: self._frame(reads, moments) for reads in self.spec.model.frames}
        return [{table: (frames[place],) for table, frames in tables.items()} for place in range(len(moments))]

    def _frame(self, reads: Reads, moments: Sequence[datetime]) -> Sequence[pd.DataFrame]:
        """A table that is read whole, as of each of the moments; where it has a time, its rows are read once."""
        spec = self.stages.tables.get(reads.table)
        if spec is not None and reads.optional and reads.table in self.stages.absent(self.customer.tables):
            return [_without_rows(reads.columns or spec.table.names)] * len(moments)
        time = None if spec is None or spec.stage == "features" else spec.table.time
        if reads.table.startswith(ANSWERS):
            return [self._answers(reads, moment) for moment in moments]
        if spec is not None and spec.table.timeless and AS_OF not in reads.columns:
            return [self._whole(reads, moments[0]).select(*(reads.columns or spec.table.names)).toPandas()] * len(
                moments
            )
        wholes = [self._whole(reads, moment) for moment in ([max(moments)] if time else moments)]
        columns = [name for name in (reads.columns or wholes[0].columns) if name in wholes[0].columns]
        if time:
            return as_of_each(wholes[0], time, columns, moments)
        return [whole.select(*(name for name in columns if name in whole.columns)).toPandas() for whole in wholes]

    def _answers(self, reads: Reads, moment: datetime) -> pd.DataFrame:
        """What another model answered, as of a moment."""
        model = reads.table.removeprefix(ANSWERS)
        if reads.optional and answers_history.as_of(self.lake, self.customer.name, model, moment) is None:
            return _without_rows(reads.columns)
        rows = self._rows_at(reads.table, (moment,))
        return rows.select(*(reads.columns or rows.columns)).toPandas()

    def _whole(self, reads: Reads, moment: datetime) -> DataFrame:
        frame = self.table(Input(reads.table, reads.table, optional=False), (moment,))
        assert frame is not None  # noqa: S101  (it is not optional)
        return frame


def _without_rows(columns: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(columns=list(columns), dtype=object)


def _known(state: Examples, outcomes: pd.DataFrame, absent: str) -> Examples:
    """The examples with their outcomes; where an absent one is unknown, without the subjects that have none."""
    if absent == "zero":
        return replace(state, outcomes=outcomes)
    rows = outcomes.dropna()
    return replace(state, columns=state.columns[state.columns.index.isin(rows.index)], outcomes=rows)


def _weighted(examples: Examples, observed: str, parts: int) -> Examples:
    """The examples in which nothing came, counting for all of which they are a share."""
    from capflow_assets.learning.example_weights import WEIGHT

    outcomes = examples.outcomes
    assert outcomes is not None  # noqa: S101  (read with them)
    weights = (outcomes[observed] > 0).map({True: 1.0, False: float(parts)})
    return replace(examples, outcomes=outcomes.assign(**{WEIGHT: weights}))
