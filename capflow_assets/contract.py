"""The nouns that every folder shares, and nothing else.

Belongs here: what a table, a column, a check's finding, a model and its needs *are*. Does not belong here: how any
of them is computed, stored or scheduled. Pure: no engine, no orchestrator, no environment, no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame, SparkSession

Severity = Literal["warn", "block"]
Readiness = Literal["ready", "at risk", "not ready"]
Scalar = str | int | float | bool | None
# Of a raw table that came in several exports which overlap: the one that the row came with.
EXPORT = "source_export"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: what it holds and what must be true of it.

    ``type`` is a Spark SQL type name (``string bigint int double boolean date timestamp``). Bounds are inclusive
    (``at_least``, ``at_most``) or strict (``above``); a null passes every rule but ``required``. A column that ``ages``
    grows by one a day in every row, whatever anybody does. Rows that break a rule block the table, unless the column's
    ``severity`` is ``warn``: then they are told and the table is written all the same.

    A feature says by ``formula`` how it is made where its description does not, and by ``window`` which stretch of
    time before the as-of moment it looks at (``"91 days"``; all of it where nothing is said). Types may be arrays,
    ``array<string>``.
    """

    name: str
    type: str
    description: str
    required: bool = False
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    one_of: tuple[str, ...] = ()
    matches: str | None = None
    unit: str | None = None
    personal: bool = False
    ages: bool = False
    severity: Severity = "block"
    formula: str = ""
    window: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """The schema of one table.

    ``grain`` completes the sentence "one row per …". ``key`` is unique together. ``time`` names the column that says
    when a row became true: rows later than the as-of moment are cut away before any feature sees them. ``open``
    tables keep attribute columns that a customer adds to the declared ones.

    A feature table whose key has ``as_of`` may be asked for several moments at once. ``version`` grows where a column
    comes to mean something else, so that a model can tell. ``intermediate`` tables only serve to make others: no model
    reads them and no catalogue lists them. ``harmless_removals`` are reasons by which cleaning may remove any number of
    rows, since those that stay say the same; all others count against ``max_removed_pct``.

    ``removal_reason`` names the column, besides the declared ones, by which the table's function says why a row is not
    to stay (null where it is). ``flags`` names the column that says what is odd about a row, separated by commas.
    """

    grain: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    time: str | None = None
    open: bool = False
    version: int = 1
    owner: str = "team:data"
    intermediate: bool = False
    harmless_removals: tuple[str, ...] = ()
    removal_reason: str | None = None
    flags: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The declared columns' names, in order."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """The declared column of that name."""
        return next(column for column in self.columns if column.name == name)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found in one table of one customer. ``found`` holds the figures; ``sample`` at most ten rows."""

    check: str
    passed: bool
    message: str
    severity: Severity = "warn"
    found: Mapping[str, Scalar] = field(default_factory=dict)
    sample: tuple[Mapping[str, Scalar], ...] = ()


class Source(Protocol):
    """One kind of store, opened as a Spark DataFrame: what every module of ``sources`` has.

    ``Options`` is a pydantic model of what a customer may say about such a store. What a kind may be able to do besides
    are the protocols below; a module that has one member of such a protocol has all of them.
    """

    Options: type[Any]

    def read(self, spark: SparkSession, location: str, options: Any) -> DataFrame:
        """One row per row of the store, with its own columns."""


@runtime_checkable
class ChecksLocations(Protocol):
    """A kind of store whose locations have a form of their own."""

    def check_location(self, location: str) -> None:
        """Refuse a location of another form, or one that holds credentials, with a ``SourceError``."""


@runtime_checkable
class ReadsNewerRows(Protocol):
    """A kind of store that finds its newer rows by itself; one that ``COMPARES_TEXT`` knows how texts are written."""

    COMPARES_TEXT: bool

    def read_newer(self, spark: SparkSession, location: str, options: Any, column: str, than: Any) -> DataFrame:
        """The rows whose ``column`` is ``than`` or more."""


@runtime_checkable
class ReadsAtAGlance(Protocol):
    """A kind of store of text, whose workers tell times and numbers beside it where these are plain."""

    def read_at_a_glance(
        self,
        spark: SparkSession,
        location: str,
        options: Any,
        kinds: Mapping[str, str],
        zone: str,
        texts: Collection[str],
    ) -> tuple[DataFrame, Mapping[str, str]]:
        """As ``read``, with the values that columns plainly tell; and which columns were looked at, as which type."""


@runtime_checkable
class HasFiles(Protocol):
    """A kind of store that reads files, each of which may be an export of its own."""

    def exports(self, location: str, options: Any, *, with_times: bool = False) -> Mapping[str, datetime | None]:
        """What people are shown for each file, and when it was last written, if asked."""

    def file_of(self, position: Expression, options: Any) -> Expression:
        """The file in the place of a row."""


@runtime_checkable
class LabelsRows(Protocol):
    """A kind of store of files whose rows bear no places where an engine reads them by itself."""

    def read_labelled(
        self, spark: SparkSession, location: str, options: Any, labels: Mapping[str, str]
    ) -> DataFrame | None:
        """As ``read``, with the label of each row's file; None where its place tells the file."""


@runtime_checkable
class FindsRows(Protocol):
    """A kind of store that finds rows again by their values, where they bear no places."""

    def find_rows(self, location: str, options: Any, rows: list[dict[str, str | None]]) -> list[int | None]:
        """The 1-based number of each row in the store; None where it is not found."""


@dataclass(frozen=True, slots=True)
class Needs:
    """The evidence that a model asks of a customer before it is trained.

    ``users`` are those known at the newest moment whose horizon is over, ``positives`` those of them with the outcome
    in that horizon. ``evidence`` is the least value of further measures of validation/evidence, by their names in
    ``learning.measures``: ``{"negatives": 30, "attribute_fill_share": 0.5}``.
    """

    tables: tuple[str, ...]
    history_days: int = 0
    users: int = 0
    positives: int = 0
    evidence: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a model asks of one customer: its needs, and as much of the model as it takes to measure them.

    ``horizon_days`` and ``moments`` are those of the parameters that hold for the customer. ``label_tables`` names the
    table of each parameter of ``label`` and ``injected`` the values that it takes besides; ``outcome`` is the label's
    column that is above 0 where the outcome came. ``absent`` are the needed tables that the customer cannot have.
    """

    needs: Needs
    horizon_days: int
    moments: int
    label: Callable[..., Any]
    outcome: str
    label_tables: Mapping[str, str]
    injected: tuple[str, ...] = ()
    learns_from: Literal["labels", "features"] = "labels"
    absent: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reason:
    """One line of a verdict: the number found, the number needed, and what would close the gap.

    ``risk`` says why a need that is met may soon not be.
    """

    need: str
    found: Scalar
    needed: Scalar
    met: bool
    fix: str = ""
    risk: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a customer's evidence is enough for a model, with every reason, met or not."""

    reasons: tuple[Reason, ...]

    @property
    def ready(self) -> bool:
        """Whether every need is met."""
        return all(reason.met for reason in self.reasons)

    @property
    def missing(self) -> tuple[Reason, ...]:
        """The needs that are not met."""
        return tuple(reason for reason in self.reasons if not reason.met)

    @property
    def risks(self) -> tuple[Reason, ...]:
        """The needs that are met and may soon not be."""
        return tuple(reason for reason in self.reasons if reason.met and reason.risk)

    @property
    def state(self) -> Readiness:
        """The verdict in a word."""
        return "not ready" if self.missing else "at risk" if self.risks else "ready"


class Params(BaseModel):
    """What a person may set for a model. Bounds, defaults and descriptions reach the launchpad from here."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    horizon_days: int = Field(30, ge=1, le=730, description="Days after the as-of moment that the label looks at.")
    moments: int = Field(4, ge=1, le=24, description="How many past as-of moments make the examples.")
    seed: int = Field(0, ge=0, description="Seed of everything random in the training.")


class Estimator(Protocol):
    """What a model file fits. Frames are indexed by ``user_id``; fitting never changes its inputs.

    A fitted estimator is saved without pickle: its attributes are plain values, numpy arrays, its params, and objects
    of the types that the class names in ``saved_types``, by module and name: ``("xgboost.core.Booster",)``. Nothing
    else is loaded again.
    """

    def fit(self, features: pd.DataFrame, labels: pd.DataFrame | None) -> Estimator:
        """Learn from one row per example. ``labels`` is aligned to ``features``; None where the model needs none."""

    def predict(self, features: pd.DataFrame) -> pd.DataFrame:
        """One row per row of ``features``, same index: ``score``, ``reasons`` (text) and columns of the model's own."""

    def parameters(self) -> dict[str, Any]:
        """The fitted or chosen parameters, for people."""


@dataclass(frozen=True, slots=True)
class Metric:
    """How a model is judged: ``compute(labels, predictions)`` over aligned frames gives one number."""

    name: str
    compute: Callable[[pd.DataFrame, pd.DataFrame], float]
    higher_is_better: bool
    description: str


@dataclass(frozen=True, slots=True)
class Gate:
    """What a challenger must hold besides beating its baseline.

    ``calibration`` gives the calibration error of predictions against labels (0 is perfect); ``at_most`` bounds it.
    ``coverage`` is the least share of users that must get a finite score. ``baseline`` is the standard held against
    the baseline: ``"better"`` wants the whole interval of the difference above zero; ``"not worse"``, for models that
    describe users in words rather than compete for accuracy, only that it is not wholly below.
    """

    calibration: Callable[[pd.DataFrame, pd.DataFrame], float]
    at_most: float
    coverage: float = 0.99
    baseline: Literal["better", "not worse"] = "better"


@dataclass(frozen=True, slots=True)
class Model:
    """All that a model file says about itself; the life around it is the same for every model.

    ``label`` takes tables by parameter name, plus ``start`` and ``end`` (the horizon, start exclusive and end
    inclusive), and returns one row per user who did anything in it; users without a row get zeros.
    ``learns_from`` is ``"labels"`` where the estimator needs outcomes, and ``"features"`` where it fits the state of
    the users at a moment (then the served model is fitted at the as-of moment itself).
    ``bands`` are names for score ranges from low to high; equal shares of users fall in each.
    """

    question: str
    family: str
    needs: Needs
    features: tuple[str, ...]
    columns: tuple[str, ...]
    label: Callable[..., Any]
    label_columns: tuple[str, ...]
    params: type[Params]
    estimator: Callable[[Params], Estimator]
    baseline: Callable[[Params], Estimator]
    baseline_name: str
    metric: Metric
    gate: Gate
    learns_from: Literal["labels", "features"] = "labels"
    bands: tuple[str, ...] = ("low", "medium", "high")
    plot: Callable[[pd.DataFrame, pd.DataFrame], Any] | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open stretch of time ``(start, end]`` in UTC."""

    start: datetime
    end: datetime
