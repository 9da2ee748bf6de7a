"""Whether a customer is ready for a model: for a training, and for people to read after a run.

A training measures as validation/readiness does, by the function of validation/evidence, with its own parameters and
moment. People read what that table says, and what has come to light since: drift, and a feed that fell silent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from capflow_assets.blueprint.calls import cut
from capflow_assets.blueprint.specs import BILLS
from capflow_assets.contract import Requirements, Verdict
from capflow_assets.contract.needs import JUDGING
from capflow_assets.errors import CapflowError
from capflow_assets.expressions.days import days_before, local_day_of, local_span
from capflow_assets.learning.measures import MEASURES
from capflow_assets.learning.readiness import LATE_FEED_DAYS, feed, judge, verdict

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from capflow_assets.blueprint.stages import Stages
    from capflow_assets.contract import Horizon
    from capflow_assets.life.examples import ExampleReader
    from capflow_assets.stores.lake import Lake

EVIDENCE = "validation/evidence"
READINESS = "validation/readiness"
# The picture of all customers; see fleet.py.
FLEET = "fleet/readiness"
UNKNOWN = "unknown"
# What a customer's TOML says where nothing new is to come; those are told so whose newest bill is so old.
ARCHIVE, LONG_DAYS = "archive = true in its TOML", 60
# Of a model that the customer's TOML leaves out.
OFF = "off"


def fleet_edges(stages: Stages) -> set[str]:
    """The assets that the picture of all customers is made of."""
    return {READINESS} & set(stages.tables) | {f"health/{name}" for name in stages.models}


def training_verdict(reader: ExampleReader, params: Horizon, as_of: datetime) -> Verdict:
    """Whether the customer is ready for the model with these parameters, as of a moment."""
    absent = reader.stages.absent(reader.customer.tables)
    requirements = reader.spec.requirements(params, absent)
    if BILLS in absent:
        return verdict(requirements.needs, {"tables": [key for key in reader.stages.tables if key not in absent]})
    zone, name = reader.customer.time_zone, reader.spec.name
    measure: Any = reader.stages.spec(EVIDENCE).function
    values = {"as_of": as_of, "zone": zone, "currency": reader.customer.currency, "needs": {name: requirements}}
    rows = [row.asDict() for row in measure(**dict(_frames(reader, requirements, as_of)), **values).collect()]
    age = next((row["value"] for row in rows if row["measure"] == "newest_bill_age_days"), None)
    today = local_day_of(as_of, zone)
    return Verdict((*judge(name, requirements, rows, today).reasons, feed(age)))


def _frames(
    reader: ExampleReader, requirements: Requirements, as_of: datetime
) -> Iterator[tuple[str, DataFrame | None]]:
    """The inputs of validation/evidence that this model's needs and label are measured on; None for the others."""
    measured_tables = {*requirements.outcome_tables.values(), *requirements.needs.tables}
    measured_tables |= {table for name in requirements.needs.evidence for table in MEASURES[name].tables}
    for source in reader.stages.spec(EVIDENCE).inputs:
        is_measured = source.table in measured_tables and reader.lake.exists(reader.customer.name, source.table)
        if source.optional and not is_measured:
            yield source.parameter, None
        else:
            frame = reader.lake.table(reader.customer.name, source.table)
            yield source.parameter, cut(frame, reader.stages.spec(source.table), as_of)


@dataclass(frozen=True, slots=True)
class Standing:
    """One customer and model in the matrix: ready, at risk, not ready or unknown, and why; or why it is not judged."""

    customer: str
    model: str
    readiness: str
    reasons: tuple[str, ...] = ()


def readiness_rows(lake: Lake, customer: str) -> list[dict[str, Any]] | None:
    """The rows of a customer's validation/readiness; None where there is no such table yet."""
    if not lake.exists(customer, READINESS):
        return None
    rows: list[dict[str, Any]] = lake.arrow(customer, READINESS).to_pylist()
    return sorted(rows, key=lambda row: (row["model"] or "", row["position"]))


def standings(
    lake: Lake,
    customer: str,
    models: Iterable[str],
    drifts: Mapping[str, Mapping[str, Any]],
    missing: str = "",
    now: datetime | None = None,
    zone: Callable[[], str] = lambda: "UTC",
    has_model: Callable[[str], bool] = lambda model: True,
    is_archive: Callable[[], bool] = lambda: False,
) -> list[Standing]:
    """How a customer stands with each model.

    ``drifts`` is the metadata of the newest health by model. ``missing`` says why there can be no readiness table.
    ``zone`` is asked for the customer's time zone where its feed may be late. ``has_model`` says which of the models
    the customer is to have; the others are off. ``is_archive`` is asked, where its feed may be late, whether nothing
    new is to come: age is no risk then, and else it is from a week on, however old the data are.
    """

    def every(readiness: str, why: str) -> list[Standing]:
        return [_off_or(Standing(customer, model, readiness, (why,)), has_model) for model in models]

    try:
        rows = readiness_rows(lake, customer)
    except CapflowError as error:
        return every(UNKNOWN, str(error).splitlines()[0])
    if rows is None and missing:
        return every("not ready", missing)
    if rows is None:
        return every(UNKNOWN, f"not looked at yet: capflow run {customer}")
    rows_of: dict[str | None, list[dict[str, Any]]] = {}
    for row in rows:
        rows_of.setdefault(row["model"], []).append(row)
    shared, at = rows_of.get(None, []), now or datetime.now(UTC)
    own = {model: [*rows_of.get(model, ()), *shared] for model in models}

    def stand(model: str) -> Standing:
        return standing(customer, model, own[model], drifts.get(model, {}), at, zone, is_archive)

    return [_off_or(stand(model), has_model) for model in own]


def _off_or(standing: Standing, has_model: Callable[[str], bool]) -> Standing:
    return standing if has_model(standing.model) else Standing(standing.customer, standing.model, OFF)


def standing(
    customer: str,
    model: str,
    rows: Sequence[Mapping[str, Any]],
    health: Mapping[str, Any],
    now: datetime,
    zone: Callable[[], str] = lambda: "UTC",
    is_archive: Callable[[], bool] = lambda: False,
) -> Standing:
    """How a customer stands with a model, from the rows of validation/readiness, the newest health and the clock."""
    own = [row for row in rows if row["model"] == model]
    if not own:
        return Standing(customer, model, UNKNOWN, (f"the model is new here: capflow run {customer}",))
    shared = [row for row in rows if row["model"] is None]
    missing = tuple(row["fix"] for row in (*own, *shared) if row["readiness"] == "not ready")
    if missing:
        return Standing(customer, model, "not ready", missing)
    risks = [row["risk"] for row in own if row["readiness"] == "at risk"]
    late = [row["risk"] for row in shared if row["readiness"] == "at risk"] or _silence(shared, now, zone)
    risks += [] if late and is_archive() else late
    if health.get("over"):
        psi, most = float(health["psi_max"]), float(health["threshold"])
        risks.append(f"{health['worst']} has drifted: PSI {psi:.2f}, threshold {most:g}; train again")
    later = tuple(row["fix"] for row in own if row["need"].startswith(JUDGING))
    return Standing(customer, model, "at risk" if risks else "ready", (*risks, *later))


def _silence(shared: Sequence[Mapping[str, Any]], now: datetime, zone: Callable[[], str]) -> list[str]:
    """A run as of the newest bill cannot see that none came since; the clock can."""
    ages = [(row["as_of"], row["found"]) for row in shared if row["need"] == "feed" and row["found"] is not None]
    for as_of, age in ages:
        if (now - as_of.astimezone(UTC)).days + age < LATE_FEED_DAYS:
            continue
        newest = days_before(as_of.astimezone(UTC), int(age), name := zone())
        days = local_span(newest, now, name).days
        if days > LATE_FEED_DAYS:
            day, remedy = local_day_of(newest, name), "check the feed, or run the tables again"
            is_over = f"; {ARCHIVE} where no more will come" if days > LONG_DAYS else ""
            return [f"the newest bill is of {day}, {days:,} days ago; {remedy}{is_over}"]
    return []
