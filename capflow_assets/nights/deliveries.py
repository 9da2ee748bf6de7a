"""Which delivery a scoring is on its way to a destination: its id, its columns and how long it holds. Pure.

The id is a digest of customer, model, version, as-of, destination and rules, and of the round where some users had to
wait: the same delivery has the same id whenever it is sent.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from capflow_assets.contract import Delivery
from capflow_assets.customers.delivery_settings import ContactSettings, DeclaredDelivery
from capflow_assets.nights.delivered_rows import USER, Selection


def delivery_of(
    customer: str,
    model: str,
    version: int,
    as_of: datetime,
    declared: DeclaredDelivery,
    contact: ContactSettings,
    selection: Selection,
    number: int = 0,
) -> Delivery:
    """The delivery; ``number`` counts its rounds, 0 the first."""
    moment = as_of.astimezone(UTC)
    parts = [customer, model, version, moment.isoformat(), declared.name, _rules(declared, contact, selection), number]
    return Delivery(
        id=sha256(json.dumps(parts).encode()).hexdigest(),
        customer=customer,
        model=model,
        version=version,
        as_of=moment,
        valid_until=moment + timedelta(days=declared.valid_days),
        destination=declared.name,
        columns=tuple(column for _, column in selection.sources),
        key=tuple(selection.delivered_name(name) for name in selection.key),
        user=selection.delivered_name(USER),
    )


def _rules(declared: DeclaredDelivery, contact: ContactSettings, selection: Selection) -> str:
    """All that decides who is delivered and what, in one text."""
    said = {
        "rules": declared.rules.model_dump(mode="json"),
        "contact": contact.model_dump(mode="json") if declared.contact else None,
        "consent": [declared.channel, declared.purpose] if declared.contact else None,
        "columns": [[source, asdict(column)] for source, column in selection.sources],
        "kind": declared.kind,
        "valid_days": declared.valid_days,
    }
    return json.dumps(said, sort_keys=True)
