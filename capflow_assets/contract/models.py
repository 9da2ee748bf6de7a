"""What a model is about, reads, answers and is judged by.

One contract for every shape of answer: a score of a user, a ranked list of items, a series of days, the effect of a
campaign. The life around it (``life``) is the same for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from math import inf
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar, runtime_checkable

from capflow_assets.contract.needs import Needs
from capflow_assets.contract.params import Horizon
from capflow_assets.contract.tables import Column

if TYPE_CHECKING:
    import pandas as pd

Otherwise = Literal["keep", "ask", "tell"]
Shape = Literal["score", "list", "series", "vector"]
# What a business question wants; ``learning.objectives`` has a file for each.
Objective = Literal["chance", "amount", "time", "list", "segment", "effect", "series", "anomaly", "vector", "action"]
# The types of what a series says that can be held against an outcome.
FIGURES = ("double", "float", "int", "bigint", "boolean")
# Of fewer judged units an interval says little, however narrow it is.
LEAST_JUDGED = 10


P = TypeVar("P", bound=Horizon)
P_contra = TypeVar("P_contra", bound=Horizon, contravariant=True)


@dataclass(frozen=True, slots=True)
class Subject:
    """What one example and one answer of a model are about: a user, a store, a user and a campaign.

    ``key`` are the columns that name one. ``known`` takes tables by parameter name (and ``as_of``, ``zone``, and the
    model's ``params``, where it asks for them) and returns one row per subject that is known at the moment; without it
    they are the rows of the first joined block. ``events`` takes the same and returns the key and ``began_at`` of all
    that began up to the moment; where it is given, examples are of those moments rather than of horizons counted back.
    """

    name: str
    key: tuple[str, ...]
    known: Callable[..., Any] | None = None
    events: Callable[..., Any] | None = None

    @property
    def plural(self) -> str:
        """Several of them, in words: "users", "pairs of store and category"."""
        return f"pairs of {self.name}" if " and " in self.name else f"{self.name}s"


USER = Subject("user", ("user_id",))


@dataclass(frozen=True, slots=True)
class Reads:
    """One table that a model reads, as of the moment of its examples.

    ``joined``: of a feature block the row of each subject, by those columns of its key that the subject has;
    ``columns`` must be named. ``frame``: the rows known at the moment, of which ``columns`` are kept (all, if none is
    named); an estimator finds them in ``Examples.tables``.

    ``predictions/churn`` reads what another model answered: as of each moment its answers of the newest scoring up to
    then, as they were kept, so that nothing is read that it could not have said at the time.

    An ``optional`` frame has no rows for a customer who cannot have the table, nor of answers where none were kept from
    so early; without ``optional`` the model is not ready then.
    """

    table: str
    columns: tuple[str, ...] = ()
    form: Literal["joined", "frame"] = "joined"
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of the subjects in the horizon.

    ``compute`` takes tables by parameter name, ``start`` and ``end`` (the horizon, start exclusive and end inclusive),
    and ``zone``, ``currency`` or the model's ``params`` where it asks for them. It returns the subject's key, the
    columns of ``per`` and ``columns``, one row per key and ``per``; the first of ``columns`` is above 0 where the
    outcome came. ``per`` names what tells the several outcomes of one subject apart: ``("item_id",)``, ``("day",)``.

    A subject without a row did nothing (``absent="zero"``), or nothing can be said of it (``"unknown"``: it is neither
    learned from nor judged). ``treatment`` is the column that is 1 for subjects who were treated and 0 for those who
    were held out by chance.
    """

    compute: Callable[..., Any]
    columns: tuple[str, ...]
    per: tuple[str, ...] = ()
    absent: Literal["zero", "unknown"] = "zero"
    treatment: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """The shape of what a model says of one subject.

    A score (the default), a ranked list (``per=("item_id",)``), a series (``per=("day",)``, ``ranked_by=None``) or a
    vector (no ``per``, ``ranked_by=None``). ``columns`` are declared where they have a unit or are no number; a score
    may have more of the model's own. ``bands`` are names for score ranges from low to high; equal shares of the
    subjects fall in each, and equal scores in that of their middle.
    """

    per: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    ranked_by: Literal["score"] | None = "score"
    bands: tuple[str, ...] = ("low", "medium", "high")

    @property
    def shape(self) -> Shape:
        """What the answer is, in a word."""
        if self.ranked_by:
            return "list" if self.per else "score"
        return "series" if self.per else "vector"


@dataclass(frozen=True, slots=True)
class Examples:
    """What an estimator learns from, or answers for. It never changes them.

    ``columns`` has one row per subject and moment, indexed by the subject's key, with the joined columns in any order
    and perhaps others; where the examples are of several moments a column ``moment`` numbers them, 0 the oldest.
    ``outcomes`` are aligned with it; those with a ``per`` are rows indexed by the key, with ``per``, the outcome's
    columns and ``moment``. ``tables`` gives for each table that is read as a frame its rows as of each of ``moments``.
    Answers are for the last of ``moments``.
    """

    columns: pd.DataFrame
    outcomes: pd.DataFrame | None = None
    tables: Mapping[str, tuple[pd.DataFrame, ...]] = field(default_factory=dict)
    moments: tuple[datetime, ...] = ()
    zone: str = "UTC"

    def __len__(self) -> int:
        return len(self.columns)

    def table(self, name: str) -> pd.DataFrame:
        """A table that is read as a frame, as of the newest moment."""
        return self.tables[name][-1]


class Estimator(Protocol):
    """What a candidate fits.

    A fitted estimator is saved without pickle: its attributes are plain values, numpy arrays, its params, and objects
    of the types that the class names in ``saved_types``, by module and name: ``("xgboost.core.Booster",)``. Nothing
    else is loaded again.
    """

    def fit(self, examples: Examples) -> Estimator:
        """Learn from the examples; their outcomes are None where the model is fitted to the state of a moment."""

    def predict(self, examples: Examples) -> pd.DataFrame:
        """The answers: one row per row of ``examples.columns`` with the same index, or several, told apart by ``per``.

        Columns: ``per``, ``score`` where answers are ranked, ``reasons`` (text) and columns of the model's own.
        """

    def parameters(self) -> dict[str, Any]:
        """The fitted or chosen parameters, for people."""


@runtime_checkable
class Refits(Protocol):
    """An estimator that is fitted again in a way of its own on all that is known, once it has been promoted.

    For instance one that holds examples out of its first fit to calibrate on.
    """

    def refit(self, examples: Examples) -> Estimator:
        """Another estimator of the same recipe, fitted on all of the examples."""


@runtime_checkable
class Recalibrates(Protocol):
    """An estimator whose answers are chances that can be made honest again without learning their order anew."""

    def recalibrated(self, examples: Examples) -> Estimator:
        """Another estimator that orders subjects alike, with its chances fitted to what came of the examples."""


@runtime_checkable
class GivesFigures(Protocol):
    """An estimator whose reasons are dear: it can answer without them, where it is only to be judged."""

    def figures(self, examples: Examples) -> pd.DataFrame:
        """As ``predict``, without ``reasons``."""


@runtime_checkable
class ReadsColumns(Protocol):
    """An estimator that can do with some of the joined columns, which are chosen anew at each training."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads, of those that its model names."""

    def using(self, columns: tuple[str, ...]) -> Estimator:
        """Another estimator of the same recipe, not fitted, that reads these columns only."""


@dataclass(frozen=True, slots=True)
class Candidate(Generic[P_contra]):
    """One way to answer: ``make`` is a class of estimators that takes the model's parameters, or a partial of one.

    A baseline is also the rule that answers for a customer until a model is promoted, but where it ``may_answer`` not:
    one that draws lots is good for a comparison only. The parameters that have a ``Search`` are those of the candidates
    that are tuned.
    """

    name: str
    make: Callable[[P_contra], Estimator]
    is_baseline: bool = False
    may_answer: bool = True
    is_tuned: bool = False


@dataclass(frozen=True, slots=True)
class Metric:
    """How a model is judged: ``compute(outcomes, answers)`` over aligned frames gives one number.

    ``by_subject``, where the metric is a mean over subjects, gives one row per subject, indexed by its key: ``value``
    and, unless all count the same, ``weight``. ``unit`` names the columns of the key whose rows a resample draws
    together; by default each subject is drawn by itself.

    ``counted`` is ``compute`` for the bootstrap, where drawing rows again and again would be dear: it looks at the
    frames once, and gives a function of how often each row was drawn (one number per row) that equals ``compute`` on
    the rows so repeated.
    """

    name: str
    compute: Callable[[pd.DataFrame, pd.DataFrame], float]
    higher_is_better: bool
    description: str
    by_subject: Callable[[pd.DataFrame, pd.DataFrame], pd.DataFrame] | None = None
    unit: tuple[str, ...] = ()
    counted: Callable[[pd.DataFrame, pd.DataFrame], Callable[[Any], float]] | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """What a challenger must hold besides beating its baseline: a figure of outcomes and answers, within bounds.

    It is asked once; the decision, the asset check ``name`` and the model's card tell the same. ``words`` name the
    figure: "its calibration error". Where it is out of bounds the version is kept from promotion, a person is asked,
    or it is told and nothing else. ``said`` puts the outcomes and answers that the figure is of into a sentence:
    "expected 1,897 purchases, 2,706 came, 30 % too low".
    """

    name: str
    measure: Callable[[pd.DataFrame, pd.DataFrame], float]
    words: str
    at_most: float = inf
    at_least: float = -inf
    otherwise: Otherwise = "ask"
    said: Callable[[pd.DataFrame, pd.DataFrame], str] | None = None


@dataclass(frozen=True, slots=True)
class Model(Generic[P]):
    """All that a model file says about itself; the life around it is the same for every model.

    ``objective`` is what its question wants, which most of the rest follows from; ``learning.objectives`` has it.

    ``candidates`` hold one baseline and at least one other. ``beats`` is the standard held against the baseline:
    ``"better"`` wants the whole interval of the difference above zero; ``"not worse"``, for models that describe
    subjects rather than compete for accuracy, only that it is not wholly below. ``coverage`` is the least share of
    subjects that must get an answer. Judged on fewer than ``least_judged`` of what an interval draws (``Metric``), it
    is promoted by a person only.

    ``fitted`` is ``"past"`` where the estimator learns from outcomes of past moments, and ``"now"`` where it fits the
    state of the subjects at a moment (then the served model is fitted at the as-of moment itself).

    ``answers_from`` is for a model that describes by a rule, fitted to now: the evidence that suffices to answer where
    ``needs`` are not met. It is promoted unjudged then, and says so; what came of its subjects judges it later.

    ``widened`` gives the same model with further columns to choose among, by block, each with a text for its value.
    """

    question: str
    family: str
    needs: Needs
    reads: tuple[Reads, ...]
    outcome: Outcome
    params: type[P]
    candidates: tuple[Candidate[P], ...]
    metric: Metric
    rules: tuple[Rule, ...] = ()
    subject: Subject = USER
    answer: Answer = Answer()
    objective: Objective | None = None
    beats: Literal["better", "not worse"] = "better"
    coverage: float = 0.99
    least_judged: int = LEAST_JUDGED
    fitted: Literal["past", "now"] = "past"
    answers_from: Needs | None = None
    plot: Callable[[pd.DataFrame, pd.DataFrame], Any] | None = None
    widened: Callable[[Mapping[str, Mapping[str, str]]], Model[P]] | None = None

    @property
    def joined(self) -> tuple[Reads, ...]:
        """The feature blocks whose rows are joined."""
        return tuple(reads for reads in self.reads if reads.form == "joined")

    @property
    def frames(self) -> tuple[Reads, ...]:
        """The tables that are read as frames."""
        return tuple(reads for reads in self.reads if reads.form == "frame")

    @property
    def tables(self) -> tuple[str, ...]:
        """The names of all tables that are read."""
        return tuple(reads.table for reads in self.reads)

    @property
    def columns(self) -> tuple[str, ...]:
        """The joined columns, block by block."""
        return tuple(column for reads in self.joined for column in reads.columns)

    @property
    def kept_columns(self) -> tuple[str, ...]:
        """The columns of its answers that are kept night by night, which other models may read as they were.

        The key, ``per``, the score or the figures of a series, and which version answered as of when; none of vectors,
        which say nothing of a horizon.
        """
        if self.answer.shape == "vector":
            return ()
        figures = tuple(column.name for column in self.answer.columns if column.type in FIGURES)
        said = ("score",) if self.answer.ranked_by else figures
        return (*self.subject.key, *self.answer.per, *said, "model_version", "as_of")

    @property
    def baseline(self) -> Candidate[P]:
        """The candidate that the others must beat."""
        return next(candidate for candidate in self.candidates if candidate.is_baseline)

    @property
    def challengers(self) -> tuple[Candidate[P], ...]:
        """The candidates but the baseline."""
        return tuple(candidate for candidate in self.candidates if not candidate.is_baseline)
