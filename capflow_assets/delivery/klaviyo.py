"""Klaviyo: a row becomes custom properties of a profile, by bulk import jobs.

A job takes at most 10,000 profiles and 5 MB, a profile 100 KB; ten jobs start in a second and 150 in a minute
(https://developers.klaviyo.com/en/reference/bulk_import_profiles). It is answered 202 and runs by itself: it is asked
for until it is complete, and then for its errors, each with the profile that it is about. A job that is not complete in
time, that was cancelled, or that counts fewer profiles than it was given leaves them unknown.

An import updates or creates profiles. It subscribes nobody: the calls that do lift a suppression, and are never made.
Properties are set, so twice is as once. An older delivery is kept back by the ledger alone. A delivery cannot be taken
back by its name; single users' properties can.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from pydantic import Field

from capflow_assets.contract import Delivery, Held, Sent, Withdrawn
from capflow_assets.delivery.klaviyo_errors import next_path, places_of, said_errors
from capflow_assets.delivery.profiles import ProfileOptions, fitting, names_of
from capflow_assets.errors import DeliveryError
from capflow_assets.transfer.batches import Rejection, Row, Tally, packed, post_apart, rows_of
from capflow_assets.transfer.calls import Address, Calls

if TYPE_CHECKING:
    import pyarrow as pa

JOBS = "/api/profile-bulk-import-jobs"
PROFILES = 10_000
JOB_BYTES = 4_900_000
PROFILE_BYTES = 100_000
# Errors in one page of them: what is asked for, and the least that may come.
PAGE, LEAST_PAGE = 100, 20
LIMITS = ((10, 1.0), (150, 60.0))
PROFILE_IS_WRONG = frozenset({400, 413, 422})


class Options(ProfileOptions):
    """Which account, and how its profiles are known."""

    url: Address = Field(default="https://a.klaviyo.com", description="The address of the interface.")
    revision: str = Field(default="2026-07-15", pattern=r"^\d{4}-\d{2}-\d{2}$", description="Its version.")
    identifier: Literal["external_id", "email", "phone_number"] = Field(
        default="external_id", description="What the user's id is to Klaviyo."
    )
    profiles_per_job: int = Field(default=PROFILES, ge=1, le=PROFILES, description="Most profiles in one job.")
    poll_seconds: float = Field(default=5.0, gt=0, le=300, description="How often a job is asked for.")
    job_seconds: float = Field(default=1_800.0, gt=0, description="After that, what a job was given is unknown.")


class Klaviyo:
    """Properties of profiles."""

    options = Options
    resend: Literal["idempotent", "never"] = "idempotent"
    tells = False

    def held(self, options: Options, delivery: Delivery) -> Held | None:
        """Klaviyo is not asked."""
        return None

    def newest(self, options: Options, delivery: Delivery) -> datetime | None:
        """Klaviyo is not asked."""
        return None

    def send(self, options: Options, delivery: Delivery, batches: Iterator[pa.RecordBatch]) -> Sent:
        """Import the properties of every user, a job at a time."""
        names, tally = names_of(options, delivery), Tally()

        def shape(values: dict[str, Any]) -> dict[str, Any]:
            properties = {name: values[column] for column, name in names.items()}
            attributes = {options.identifier: values[delivery.user], "properties": properties}
            return {"type": "profile", "attributes": attributes}

        with _Imports(options) as imports:
            rows = fitting(rows_of(delivery, batches, shape), delivery.user, tally, PROFILE_BYTES)
            for batch in packed(rows, options.profiles_per_job, JOB_BYTES):
                post_apart(batch, imports.post, tally)
        return tally.sent()

    def withdraw(self, options: Options, delivery: Delivery) -> Withdrawn:
        """Not possible: whom a delivery reached, Klaviyo does not say."""
        reason = "Klaviyo knows no deliveries; single users' properties can be removed (capflow forget)"
        return Withdrawn(None, reason)

    def erase(self, options: Options, delivery: Delivery, users: Sequence[str]) -> Withdrawn:
        """Remove these users' properties of the model; their profiles stay."""
        import orjson

        unset = {"patch_properties": {"unset": list(names_of(options, delivery).values())}}
        rows = (
            Row((user,), {}, orjson.dumps({"type": "profile", "attributes": {options.identifier: user}, "meta": unset}))
            for user in users
        )
        tally = Tally()
        with _Imports(options) as imports:
            for batch in packed(rows, options.profiles_per_job, JOB_BYTES):
                post_apart(batch, imports.post, tally)
        wrong = len(tally.refused) + len(tally.unknown)
        return Withdrawn(tally.rows, f"Klaviyo did not take {wrong:,} of {len(users):,} users" if wrong else "")


class _Imports:
    """Bulk import jobs: started, waited for, and read."""

    def __init__(self, options: Options) -> None:
        key = options.api_key.value()
        self._options = options
        # The limits are those of each kind of call by itself.
        self._starts, self._reads = (Calls(options, "Klaviyo", LIMITS, secrets=[key]) for _ in range(2))
        self._path = self._starts.path.rstrip("/") + JOBS
        self._headers = {
            "authorization": f"Klaviyo-API-Key {key}",
            "revision": options.revision,
            "accept": "application/vnd.api+json",
            "content-type": "application/vnd.api+json",
        }

    def __enter__(self) -> _Imports:
        return self

    def __exit__(self, *_: object) -> None:
        self._starts.__exit__()
        self._reads.__exit__()

    def post(self, rows: Sequence[Row]) -> Rejection | None:
        """Import profiles: None where all of them are."""
        profiles = b",".join(row.json for row in rows)
        body = b'{"data":{"type":"profile-bulk-import-job","attributes":{"profiles":{"data":[' + profiles + b"]}}}}"
        answer = self._starts.call("POST", self._path, body, lambda: self._headers)
        if answer.status in PROFILE_IS_WRONG:
            named, _ = places_of(said_errors(answer.body), rows, self._options.identifier)
            return Rejection(self._starts.said(answer), named)
        if answer.status != 202:
            raise self._starts.refusal(answer)
        try:
            return self._outcome(rows, *_job(answer.body))
        except DeliveryError:  # the job was started: that it cannot be asked for says nothing of its profiles
            return Rejection("", {}, "unknown")

    def _outcome(self, rows: Sequence[Row], job_id: str, job: Mapping[str, Any]) -> Rejection | None:
        """What became of a job's profiles, once it has ended."""
        until = time.monotonic() + self._options.job_seconds
        while job_id and job.get("status") in ("queued", "processing") and time.monotonic() < until:
            time.sleep(self._options.poll_seconds)
            _, job = _job(self._get(f"{self._path}/{job_id}"))
        if not job_id or job.get("status") != "complete":
            return Rejection("", {}, "unknown")
        failed = int(job.get("failed_count") or 0)
        errors = list(self._errors(job_id, failed)) if failed else []
        named, unplaced = places_of(errors, rows, self._options.identifier)
        is_whole = int(job.get("completed_count") or 0) + failed >= len(rows)
        if is_whole and not failed:
            return None
        is_told = is_whole and not unplaced and len(named) >= failed
        return Rejection("", named, "taken" if is_told else "unknown")

    def _errors(self, job_id: str, count: int) -> Iterator[Mapping[str, Any]]:
        path: str | None = f"{self._path}/{job_id}/import-errors?page%5Bsize%5D={PAGE}"
        for _ in range(count // LEAST_PAGE + 1):
            if path is None:
                return
            content = self._get(path)
            yield from said_errors(content, "data")
            path = next_path(content)

    def _get(self, path: str) -> bytes:
        answer = self._reads.call("GET", path, None, lambda: self._headers)
        if answer.status != 200:
            raise self._starts.refusal(answer)
        return answer.body


def _job(content: bytes) -> tuple[str, Mapping[str, Any]]:
    """A job's id, as it stands in an address, and what is said of it; blank where that cannot be read."""
    import orjson

    try:
        data = orjson.loads(content)["data"]
        return quote(str(data["id"]), safe=""), dict(data["attributes"])
    except (ValueError, KeyError, TypeError):
        return "", {}


DESTINATION = Klaviyo()
