"""What the daemon looks after by itself: runs whose process is gone, and what killed writers left in the lake."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime, timedelta

import dagster as dg

from capflow_assets.deployment import Deployment
from capflow_assets.errors import CapflowError, InUseError
from capflow_assets.graph.gone_runs import Gone, end_gone_runs
from capflow_assets.graph.partitions import of_same_customers, partition_signs
from capflow_assets.processes.customer_lock import customer_lock
from capflow_assets.processes.run_processes import sweep

# A process whose line to PostgreSQL broke takes its locks back within seconds; until then it seems gone.
SEEMS_GONE_SECONDS = 120
CLEANED_EVERY = timedelta(hours=20)
# A tick has 60 seconds.
CLEANING_SECONDS = 20
RECORDS_SECONDS = 10


@dataclass
class Cursor:
    """What the sensor remembers: since when runs have seemed gone, and when each customer was last cleaned.

    ``signs`` tell the customers from others of their names. ``records`` is how far Dagster's own were looked through,
    and ``records_at`` when that was last done wholly.
    """

    seems_gone: dict[str, str] = field(default_factory=dict)
    cleaned: dict[str, str] = field(default_factory=dict)
    signs: dict[str, str] = field(default_factory=dict)
    records: dict[str, int] = field(default_factory=dict)
    records_at: str = ""

    @classmethod
    def parse(cls, text: str | None) -> "Cursor":
        """The cursor that a tick of this release or another left."""
        content = json.loads(text) if text else {}
        return cls(**{known.name: content[known.name] for known in fields(cls) if known.name in content})

    def text(self) -> str:
        """What the next tick is to be given."""
        return json.dumps(asdict(self))


def housekeeping_sensor(deploy: Callable[[], Deployment]) -> dg.SensorDefinition:
    """The sensor that ends runs whose process is gone every minute, and cleans every customer's prefix once a day."""

    @dg.sensor(
        name="housekeeping",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Ends runs whose process is gone; once a day, removes what killed runs left of each customer,"
        " and records of long ago that newer ones have superseded.",
    )
    def housekeeping(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        deployment, cursor, now = deploy(), Cursor.parse(context.cursor), datetime.now(UTC)
        ended = _end(context.instance, deployment, cursor, now)
        done = [f"ended run {words}: its process is gone" for words in ended]
        done += _clean(deployment, cursor, now, partition_signs(context.instance))
        done += tidy_records(context.instance, cursor, now)
        for line in done:
            context.log.warning(line)
        return dg.SensorResult(cursor=cursor.text(), skip_reason="\n".join(done) or "nothing to clear up")

    return housekeeping


def _end(instance: dg.DagsterInstance, deployment: Deployment, cursor: Cursor, now: datetime) -> list[str]:
    before, cursor.seems_gone = cursor.seems_gone, {}

    def may_end(gone: Gone) -> bool:
        if gone.evidence != "seems gone":
            return gone.evidence == "gone"
        since = before.get(gone.run.run_id, now.isoformat())
        cursor.seems_gone[gone.run.run_id] = since
        return now - datetime.fromisoformat(since) >= timedelta(seconds=SEEMS_GONE_SECONDS)

    ended = end_gone_runs(instance, deployment.home, may_end)
    sweep(deployment.home)
    return ended


def _clean(deployment: Deployment, cursor: Cursor, now: datetime, signs: Mapping[str, str]) -> list[str]:
    """Clean those customers that were not cleaned today, as many as there is time for; busy ones another time."""
    from capflow_assets.stores.leftovers import clean

    names = deployment.customers()
    signs = {name: signs.get(name, "") for name in names}
    cursor.cleaned, cursor.signs = of_same_customers(cursor.cleaned, cursor.signs, signs), signs
    until, done = time.monotonic() + CLEANING_SECONDS, []
    for name in sorted(names, key=lambda name: cursor.cleaned.get(name, "")):
        last = cursor.cleaned.get(name)
        if time.monotonic() > until or (last and abs(now - datetime.fromisoformat(last)) < CLEANED_EVERY):
            break
        try:
            with customer_lock(deployment.home, name, "housekeeping", 0, is_lent=False) as holding:
                words = clean(deployment.lake, name).words()
                holding.is_after_death = False
        except InUseError:
            continue
        except (CapflowError, OSError) as error:
            words = f"not cleaned: {error}"
        cursor.cleaned[name] = now.isoformat()
        if words:
            done.append(f"{name}: {words}")
    return done


def tidy_records(instance: dg.DagsterInstance, cursor: Cursor, now: datetime) -> list[str]:
    """Remove Dagster's superseded records of long ago once a day, or go on with it."""
    from capflow_assets.graph.record_retention import Place, kept_since, thin_out

    if cursor.records_at and abs(now - datetime.fromisoformat(cursor.records_at)) < CLEANED_EVERY:
        return []
    try:
        since = kept_since(now)
    except CapflowError as error:
        return [f"no records were removed: {error}"]
    removed, is_done, place = 0, True, Place(**cursor.records)
    if since is not None:
        removed, is_done = thin_out(instance, place, since, RECORDS_SECONDS)
    cursor.records, cursor.records_at = asdict(place), now.isoformat() if is_done else ""
    return [f"removed {removed:,} records of before {since:%Y-%m-%d} that newer ones supersede"] if removed else []
