"""What earlier runs say of the costs of a night, from Dagster's records, and what this deployment can run at once.

A customer's seconds are those of its nights of late, and so are its memory and its usage. Of whom there were none, they
are what its newest tables, predictions, health and deliveries took, whoever computed them, and what a run takes beside.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import inf

import dagster as dg

from capflow_assets.blueprint.stages import Stages
from capflow_assets.graph.launch import asset_edges
from capflow_assets.graph.newest import newest
from capflow_assets.home.capacity import limit_bytes
from capflow_assets.nights.job_costs import ASSUMED_MEMORY_GIB, History, PastRun, history_of
from capflow_assets.nights.jobs import SCORING, TABLES, Capacity, Pool

# Of a night's run: its local day, which half of the night it is, and whose.
DAY, KIND, OF = "capflow/night", "capflow/night_part", "capflow/night_customers"
# The most memory that a run's processes had, MiB, and the seconds that the first took before its first step.
PEAK, STARTUP = "capflow/peak_mib", "capflow/startup_seconds"
AFTER_TABLES = ("predictions", "delivery", "health")
LOCAL, DATABRICKS = "local", "databricks"
# Nights that count, and of how many runs their tags are read.
REMEMBERED = timedelta(days=3)
MOST_RUNS = 2000
UNLIMITED_SLOTS = 1000
# A run's seconds over those of its assets: events, look-ups, drawing between them.
OVERHEAD = 1.3
# What the machine's other work gets.
SHARE_OF_MEMORY = 0.8
GIB = 1 << 30


def night_keys(stages: Stages) -> dict[str, list[str]]:
    """The assets of the two halves of a night, in order: all tables; then everything after them but training."""
    keys = list(asset_edges(stages))
    after = [key for key in keys if key.split("/")[0] in AFTER_TABLES]
    return {TABLES: [key for key in keys if key in stages.tables], SCORING: after}


def costs_of(stages: Stages, instance: dg.DagsterInstance, verticals: Mapping[str, str], now: float) -> History:
    """What the nights of customers cost, and what each has had of late; ``verticals`` names them all."""
    parts = night_keys(stages)
    kind_of = {key: kind for kind, keys in parts.items() for key in keys}
    seconds: dict[tuple[str, str], float] = {}
    records = newest(instance, dict.fromkeys(kind_of, ("seconds",)), list(verticals))
    for key, by_customer in records.items():
        for customer, entries in by_customer.items():
            name = (customer, kind_of[key])
            seconds[name] = seconds.get(name, 0.0) + float(entries.get("seconds") or 0.0)
    past, startups = _night_runs(instance, verticals, seconds, now)
    seen = {(run.customer, run.kind) for run in past}
    past += [
        PastRun(customer, kind, verticals[customer], OVERHEAD * took, ASSUMED_MEMORY_GIB, -inf)
        for (customer, kind), took in seconds.items()
        if (customer, kind) not in seen
    ]
    return history_of(past, now, startups)


def _night_runs(
    instance: dg.DagsterInstance,
    verticals: Mapping[str, str],
    seconds: Mapping[tuple[str, str], float],
    now: float,
) -> tuple[list[PastRun], list[float]]:
    """Each customer's part of the nights of late; where several shared a run, in proportion to what each took last.

    And the seconds from each run's launch until it began, in which it holds its place: queue, process and imports.
    """
    since = datetime.fromtimestamp(now, UTC) - REMEMBERED
    filters = dg.RunsFilter(tags={KIND: [TABLES, SCORING]}, updated_after=since)
    past: list[PastRun] = []
    startups: list[float] = []
    for record in instance.get_run_records(filters, limit=MOST_RUNS):
        tags, began, ended = record.dagster_run.tags, record.start_time, record.end_time
        if began is None or ended is None or record.dagster_run.status != dg.DagsterRunStatus.SUCCESS:
            continue  # what failed early says nothing of what it costs
        memory = float(tags.get(PEAK) or ASSUMED_MEMORY_GIB * 1024) / 1024
        customers = tags[OF].split(",")
        startups.append(began - record.create_timestamp.replace(tzinfo=UTC).timestamp())
        parts = _parts([seconds.get((name, tags[KIND]), 0.0) for name in customers])
        for customer, part in zip(customers, parts, strict=True):
            took, vertical = part * (ended - began), verticals.get(customer, "")
            past.append(PastRun(customer, tags[KIND], vertical, took, memory, ended))
    return past, startups


def _parts(seconds: Sequence[float]) -> list[float]:
    """Each one's part of the whole; equal parts where nothing is known of one.

    >>> _parts([10.0, 30.0]), _parts([0.0, 30.0])
    ([0.25, 0.75], [0.5, 0.5])
    """
    if not all(seconds):
        return [1 / len(seconds)] * len(seconds)
    return [took / sum(seconds) for took in seconds]


def capacity_of(instance: dg.DagsterInstance, memory_gib: float | None = None) -> Capacity:
    """What this deployment runs at once: as many runs as Dagster's queue lets through, of this machine's memory.

    Runs on Databricks count against the same queue, and have memory of their own.
    """
    queue = instance.get_concurrency_config().run_queue_config
    most = queue.max_concurrent_runs if queue else 0
    slots = UNLIMITED_SLOTS if most < 0 else most
    memory = machine_memory_gib() * SHARE_OF_MEMORY if memory_gib is None else memory_gib
    return {LOCAL: Pool(slots, memory), DATABRICKS: Pool(slots)}


def machine_memory_gib() -> float:
    """The memory of this machine, or of the container that this process runs in."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(total, limit_bytes() or total) / GIB
