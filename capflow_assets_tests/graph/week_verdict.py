"""What a week of nights has lost or done twice, by Dagster's records, the ledgers, and what the destinations hold."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg

from capflow_assets.graph.night_history import DAY, KIND, OF
from capflow_assets.nights.ledger import Ledger, Receipt
from capflow_assets_tests.graph.week import BLOCKED_AFTER_SECONDS, MODEL

if TYPE_CHECKING:
    from capflow_assets_tests.graph.week import Week


def judge_deliveries(week: Week) -> None:
    """What all nights so far have lost or done twice, once nothing runs any more."""
    week.wait(week.is_at_rest, "runs that do not end", BLOCKED_AFTER_SECONDS)
    _judge_runs(week)
    for delivery, users in week.receiver.users().items():
        week.figures.doubled += [f"hook: {delivery[:8]}: {user} {n} times" for user, n in users.items() if n > 1]
    for name in week.names:
        week.figures.without_reason += [
            f"{name}: {receipt.destination}: {receipt.status}"
            for receipt in Ledger(week.deployment.lake, name).receipts(MODEL)
            if receipt.status in ("failed", "unknown") and not receipt.reason
        ]


def judge_last(week: Week) -> None:
    """As ``judge_deliveries``; and whether all is well again after a night in which nothing was killed."""
    judge_deliveries(week)
    week.figures.blocked += [
        f"the last night, in which nothing was killed: {row}"
        for row in week.rows()
        if row["state"] not in ("done", "late")
    ]
    for name in week.names:
        receipts = Ledger(week.deployment.lake, name).receipts(MODEL)
        last = max((receipt.as_of for receipt in receipts), default=None)
        for destination in ("hook", "crm", "files"):
            newest = [r for r in receipts if r.destination == destination and r.as_of == last]
            _judge_delivery(week, name, destination, newest)


def _judge_delivery(week: Week, name: str, destination: str, receipts: list[Receipt]) -> None:
    wanted, where = week.users, f"{name}: {destination}"
    if [receipt.status for receipt in receipts] != ["delivered"]:
        week.figures.lost.append(f"{where}: {[(r.status, r.reason) for r in receipts]}")
        return
    delivery = receipts[0].delivery
    if destination == "hook":
        there = set(week.receiver.users().get(delivery, ()))
    elif destination == "crm":
        table = f"{name}_{MODEL}"
        there = {
            row[0] for row in week.database.run(f"select user_id from {table} where capflow_delivery = '{delivery}'")
        }
    else:
        there = (
            wanted
            if any(m["id"] == delivery and m["rows"] == len(wanted) for m in week.bucket.manifests(name))
            else set()
        )
    if there != wanted:
        week.figures.lost.append(f"{where}: {sorted(there)} of {sorted(wanted)}")


def _judge_runs(week: Week) -> None:
    done: Counter[tuple[str, str, str]] = Counter()
    begun: set[tuple[str, str]] = set()
    with week.instance() as instance:
        for run in instance.get_runs(dg.RunsFilter(tags={KIND: ["tables", "scoring"]})):
            for name in run.tags[OF].split(","):
                begun.add((run.tags[DAY], name))
                done[run.tags[DAY], name, run.tags[KIND]] += run.status == dg.DagsterRunStatus.SUCCESS
    week.figures.doubled += [f"{half}: {count} runs" for half, count in done.items() if count > 1]
    days = [str(week.first_day + timedelta(days=number)) for number in range(1, week.nights + 1)]
    week.figures.lost += [
        f"{name}: no night of {day}" for day in days for name in week.names if (day, name) not in begun
    ]
