"""What earlier runs say of the costs of a night, from Dagster's records, and what this deployment can run at once.

A customer's seconds are those that its newest tables, predictions, health and deliveries took, whoever computed them.
Memory, and what each customer has had of late, are those of its nights.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from math import inf

import dagster as dg

from capflow_assets.blueprint.stages import Stages
from capflow_assets.customers.night_settings import DeclaredNight
from capflow_assets.graph.launch import asset_edges
from capflow_assets.graph.newest import newest
from capflow_assets.nights.job_costs import ASSUMED_MEMORY_GIB, History, PastRun, history_of
from capflow_assets.nights.jobs import SCORING, TABLES, Capacity, Pool

# Of a night's run: its local day, which half of the night it is, and whose.
DAY, KIND, OF = "capflow/night", "capflow/night_part", "capflow/night_customers"
# The most memory that a run's process had, MiB.
PEAK = "capflow/peak_mib"
AFTER_TABLES = ("predictions", "delivery", "health")
LOCAL, DATABRICKS = "local", "databricks"
# Nights that count, and of how many runs their tags are read.
REMEMBERED = timedelta(days=3)
MOST_RUNS = 2000
UNLIMITED_SLOTS = 1000
# What the machine's other work gets.
SHARE_OF_MEMORY = 0.8
GIB = 1 << 30


def night_keys(stages: Stages) -> dict[str, list[str]]:
    """The assets of the two halves of a night, in order: all tables; then everything after them but training."""
    keys = list(asset_edges(stages))
    after = [key for key in keys if key.split("/")[0] in AFTER_TABLES]
    return {TABLES: [key for key in keys if key in stages.tables], SCORING: after}


def costs_of(
    stages: Stages, instance: dg.DagsterInstance, declared: Mapping[str, DeclaredNight], now: float
) -> History:
    """What the nights of customers cost, and what each has had of late."""
    parts = night_keys(stages)
    kind_of = {key: kind for kind, keys in parts.items() for key in keys}
    seconds: dict[tuple[str, str], float] = {}
    records = newest(instance, dict.fromkeys(kind_of, ("seconds",)), list(declared))
    for key, by_customer in records.items():
        for customer, entries in by_customer.items():
            name = (customer, kind_of[key])
            seconds[name] = seconds.get(name, 0.0) + float(entries.get("seconds") or 0.0)
    verticals = {name: night.vertical for name, night in declared.items()}
    past = _night_runs(instance, verticals, seconds, now)
    seen = {(run.customer, run.kind) for run in past}
    past += [
        PastRun(customer, kind, verticals[customer], took, ASSUMED_MEMORY_GIB, -inf)
        for (customer, kind), took in seconds.items()
        if (customer, kind) not in seen
    ]
    return history_of(past, now)


def _night_runs(
    instance: dg.DagsterInstance,
    verticals: Mapping[str, str],
    seconds: Mapping[tuple[str, str], float],
    now: float,
) -> list[PastRun]:
    """Each customer's part of the nights of late; where several shared a run, by what each took last."""
    since = datetime.fromtimestamp(now, UTC) - REMEMBERED
    filters = dg.RunsFilter(tags={KIND: [TABLES, SCORING]}, updated_after=since)
    past = []
    for record in instance.get_run_records(filters, limit=MOST_RUNS):
        tags, began, ended = record.dagster_run.tags, record.start_time, record.end_time
        if began is None or ended is None:
            continue
        memory = float(tags.get(PEAK) or ASSUMED_MEMORY_GIB * 1024) / 1024
        customers = tags[OF].split(",")
        for customer in customers:
            took = seconds.get((customer, tags[KIND]), (ended - began) / len(customers))
            vertical = verticals.get(customer, "")
            past.append(PastRun(customer, tags[KIND], vertical, took, memory, ended))
    return past


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
    total = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    try:
        with open("/sys/fs/cgroup/memory.max", encoding="ascii") as file:  # noqa: PTH123  (no path of ours)
            limit = file.read().strip()
    except OSError:
        limit = "max"
    return min(total, float(limit) if limit.isdigit() else inf) / GIB
