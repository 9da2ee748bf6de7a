"""What the door of a delivery asks, read from the lake at the moment of sending."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from capflow_assets.blueprint.specs import ModelSpec
from capflow_assets.customers.customer import Customer
from capflow_assets.customers.delivery_settings import DeclaredDelivery
from capflow_assets.deployment import Deployment
from capflow_assets.errors import CapflowError, DeliveryError, listed
from capflow_assets.nights import caps
from capflow_assets.nights.delivered_rows import Scoring, Selection, rows_read, scoring_of, selection_of
from capflow_assets.nights.door import HELD_OUT, LOW_BAND, NO_CONSENT, QUIET, SUPPRESSED, Door, Mask
from capflow_assets.nights.ledger import Ledger
from capflow_assets.nights.rules import consent
from capflow_assets.nights.rules.holdout import is_held_out
from capflow_assets.nights.rules.quiet_hours import is_quiet, quiet_until

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

CONSENTS, USERS, ZONE = "raw/consents", "clean/users", "time_zone"


@dataclass(frozen=True)
class Doors:
    """The doors of one customer's deliveries at one moment; what is read is read once."""

    deployment: Deployment
    customer: Customer
    ledger: Ledger
    now: datetime

    def door(self, spec: ModelSpec, declared: DeclaredDelivery, scoring: Scoring, selection: Selection) -> Door:
        """The door of one delivery.

        Raises:
            DeliveryError: a rule asks for what the model does not answer.
        """
        early = tuple(self._early(spec, declared, selection))
        if not declared.contact:
            return Door(early)
        losers = self._losers(spec, declared, scoring, selection, Door(early))
        return Door(early, losers, tuple(self._late(declared)))

    def _early(self, spec: ModelSpec, declared: DeclaredDelivery, selection: Selection) -> Iterator[tuple[str, Mask]]:
        if declared.contact:
            consents = self._consents(str(declared.channel), str(declared.purpose))
            yield SUPPRESSED, lambda batch: consents.is_suppressed(batch.column("user_id"))
            yield NO_CONSENT, lambda batch: ~consents.has_consent(batch.column("user_id"))
            if self.customer.contact.holdout_pct:
                yield HELD_OUT, self._is_held_out
        if declared.rules.min_band:
            yield LOW_BAND, partial(_is_low, _lower_bands(spec, declared, selection))

    def _is_held_out(self, batch: pa.RecordBatch) -> np.ndarray:
        contact = self.customer.contact
        users = batch.column("user_id").to_pylist()
        return is_held_out(contact.holdout_salt, self.customer.name, users, contact.holdout_pct)

    def _late(self, declared: DeclaredDelivery) -> Iterator[tuple[str, Mask]]:
        hours = declared.rules.quiet_hours
        if hours is None:
            return
        zones = self._zones()
        own = self.customer.time_zone
        quiet = {zone: is_quiet(self.now, zone, hours) for zone in {*zones.values(), own}}

        def is_waiting(batch: pa.RecordBatch) -> np.ndarray:
            import numpy as np

            return np.array([quiet[zones.get(user, own)] for user in batch.column("user_id").to_pylist()], dtype=bool)

        if any(quiet.values()):
            yield QUIET, is_waiting

    def waits_until(self, declared: DeclaredDelivery) -> datetime | None:
        """When the first zone's quiet hours end in which it is quiet now; None where it is quiet nowhere."""
        hours = declared.rules.quiet_hours
        if hours is None:
            return None
        zones = {*self._zones().values(), self.customer.time_zone}
        ends = (quiet_until(self.now, zone, hours) for zone in zones if is_quiet(self.now, zone, hours))
        return min(ends, default=None)

    def _zones(self) -> Mapping[str, str]:
        """The users' own time zones, where the customer's list of users has them, and such zones are known."""
        lake, name = self.deployment.lake, self.customer.name
        if not lake.exists(name, USERS) or ZONE not in lake.delta(name, USERS).to_pyarrow_dataset().schema.names:
            return {}
        rows = lake.arrow(name, USERS, columns=["user_id", ZONE]).to_pydict()
        known = {zone: _is_zone(zone) for zone in set(rows[ZONE])}
        return {user: zone for user, zone in zip(rows["user_id"], rows[ZONE], strict=True) if known[zone]}

    def _consents(self, channel: str, purpose: str) -> consent.Consents:
        lake, name = self.deployment.lake, self.customer.name
        if not lake.exists(name, CONSENTS):
            return consent.nobody()
        there = lake.delta(name, CONSENTS).to_pyarrow_dataset().schema.names
        rows = lake.arrow(name, CONSENTS, columns=[column for column in consent.COLUMNS if column in there])
        return consent.consents_of(_filled(rows), channel, purpose, self.now)

    def _losers(
        self, spec: ModelSpec, declared: DeclaredDelivery, scoring: Scoring, selection: Selection, door: Door
    ) -> Mapping[str, str]:
        cap = self.customer.contact.cap(declared.channel)
        if cap is None:
            return {}
        own = self._claims(spec, declared, scoring, selection, door)
        itself = (spec.name, declared.name, scoring.as_of)
        used = caps.used_places(self.ledger, cap.channel, caps.window_start(cap, self.now), itself)
        return caps.losers(cap, own, self._rivals(spec, declared, scoring), used)

    def _rivals(self, spec: ModelSpec, declared: DeclaredDelivery, scoring: Scoring) -> Iterator[caps.Claims]:
        """The claims of the other deliveries of the same moment on the same channel that have not been sent yet."""
        settled = {
            (receipt.model, receipt.destination)
            for receipt in self.ledger.receipts()
            if receipt.as_of == scoring.as_of and receipt.is_settled
        }
        for other in self.customer.delivery:
            for rival in self.deployment.stages.models.values() if other.channel == declared.channel else ():
                is_itself = (rival.name, other.name) == (spec.name, declared.name)
                is_sent = (rival.name, other.name) in settled
                takes = other.contact and other.takes(rival.name) and self.customer.has_model(rival.name)
                if is_itself or is_sent or not takes or "user_id" not in rival.model.subject.key:
                    continue
                # One that cannot be delivered takes nobody's place, and says so where it is delivered.
                with suppress(CapflowError):
                    theirs = scoring_of(self.deployment.lake, self.customer.name, rival.name)
                    if theirs is not None and theirs.as_of == scoring.as_of:
                        yield self._rival(rival, other, theirs)

    def _rival(self, rival: ModelSpec, other: DeclaredDelivery, scoring: Scoring) -> caps.Claims:
        selection = selected(self.deployment, self.customer, rival, other)
        return self._claims(rival, other, scoring, selection, Door(tuple(self._early(rival, other, selection))))

    def _claims(
        self, spec: ModelSpec, declared: DeclaredDelivery, scoring: Scoring, selection: Selection, door: Door
    ) -> caps.Claims:
        import pyarrow as pa

        rows = rows_read(self.deployment.lake, self.customer.name, selection, scoring.table_version)
        passing = (batch.filter(pa.array(door.lets(batch))) for batch in rows)
        return caps.claims_of(f"{spec.name} to {declared.name}", declared.rules.priority, passing)


def selected(deployment: Deployment, customer: Customer, spec: ModelSpec, declared: DeclaredDelivery) -> Selection:
    """What a delivery takes of a model's predictions."""
    table = f"predictions/{spec.name}"
    schema = deployment.lake.delta(customer.name, table).to_pyarrow_dataset().schema
    return selection_of(table, schema, declared, spec.model.subject.key, spec.model.answer.per)


def _lower_bands(spec: ModelSpec, declared: DeclaredDelivery, selection: Selection) -> tuple[str, ...]:
    bands, least = spec.model.answer.bands, str(declared.rules.min_band)
    is_banded = spec.model.answer.shape == "score" and "band" in selection.read
    if not is_banded or least not in bands:
        raise DeliveryError(
            "A rule asks for a band that the model does not give",
            expected=f"one of {listed(bands)}" if is_banded else "a model that answers with a score",
            came=least,
            where=f"min_band of [[delivery]] {declared.name}, {spec.name}",
        )
    return bands[: bands.index(least)]


def _is_low(lower: tuple[str, ...], batch: pa.RecordBatch) -> np.ndarray:
    """Whether a row's band is one of the lower ones, or it has none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    band = batch.column("band")
    is_low = pc.or_(pc.is_in(band, value_set=pa.array(lower, pa.string())), pc.is_null(band))
    return is_low.to_numpy(zero_copy_only=False)


def _filled(rows: pa.Table) -> pa.Table:
    """With the columns that the customer does not map, empty."""
    import pyarrow as pa

    for column in consent.COLUMNS:
        if column not in rows.column_names:
            kind = pa.timestamp("us", tz="UTC") if column not in ("channel", "purpose", "status") else pa.string()
            rows = rows.append_column(column, pa.nulls(rows.num_rows, kind))
    return rows


def _is_zone(zone: str | None) -> bool:
    try:
        return bool(zone) and ZoneInfo(str(zone)) is not None
    except (OSError, ValueError, KeyError):
        return False
