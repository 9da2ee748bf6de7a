"""What Dagster asks of a materialization to say what is stale: the code and the data that it is of.

Dagster notes both by itself where one customer runs alone. Where it cannot, since a run has several customers, the step
ran on another machine, or a person decided, the notes are made here, under Dagster's own names.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData as Target,
)
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DATA_VERSION_TAG,
    INPUT_DATA_VERSION_TAG_PREFIX,
    INPUT_EVENT_POINTER_TAG_PREFIX,
    NULL_EVENT_POINTER,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)
from dagster._core.events import DagsterEventType
from dagster._core.events.log import EventLogEntry

from capflow_assets.graph.outcomes import Outcome

MATERIALIZED = DagsterEventType.ASSET_MATERIALIZATION
# What is known of an input's data where nothing was noted.
UNNOTED = "INITIAL"
OF_CODE_AND_INPUTS = (CODE_VERSION_TAG, INPUT_DATA_VERSION_TAG_PREFIX, INPUT_EVENT_POINTER_TAG_PREFIX)
Notes = dict[str, str]


def data_version(outcome: Outcome, run: str) -> str:
    """What stands for the data of an asset: its table's version, of a model its champion; the run where it has none.

    Code and inputs alone would not tell rows that landed anew from those of yesterday.
    """
    version = outcome.metadata.get("version")
    return outcome.data_version or (run if version is None else str(version))


def champion_version(champion: int | None) -> str:
    """What stands for the data of a model: who is champion, whichever version was trained last.

    >>> champion_version(3), champion_version(None)
    ('champion 3', 'nobody')
    """
    return "nobody" if champion is None else f"champion {champion}"


@dataclass(frozen=True, slots=True)
class Provenance:
    """The notes of what a step with several customers makes."""

    instance: dg.DagsterInstance
    run: str
    specs: Mapping[dg.AssetKey, dg.AssetSpec]
    customers: Collection[str]
    _inputs: dict[tuple[dg.AssetKey, str], tuple[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, context: dg.AssetExecutionContext, customers: Collection[str]) -> Provenance:
        """Those of the step that runs."""
        return cls(
            context.instance, context.run.run_id, {spec.key: spec for spec in context.assets_def.specs}, customers
        )

    def notes(self, outcome: Outcome, customer: str) -> Notes:
        """The code and data of an asset of a customer; nothing where the asset has no version of its code."""
        spec = self.specs.get(outcome.key)
        if spec is None or not spec.code_version:
            return {}
        notes = {CODE_VERSION_TAG: spec.code_version, **_data_notes(data_version(outcome, self.run))}
        for dependency in spec.deps:
            pointer, version = self._input(dependency.asset_key, customer)
            notes[get_input_event_pointer_tag(dependency.asset_key)] = pointer
            notes[get_input_data_version_tag(dependency.asset_key)] = version
        return notes

    def remember(self, outcome: Outcome, customer: str, newest: Target) -> None:
        """Note what this run made a moment ago, of which others are made in turn; what else was newer is read."""
        if newest.run_id == self.run:
            self._inputs[outcome.key, customer] = (str(newest.storage_id), data_version(outcome, self.run))

    def _input(self, key: dg.AssetKey, customer: str) -> tuple[str, str]:
        """The newest materialization of an input, and its data's version. What the step makes itself is asked for one
        customer once it is there; anything else for all customers at once.
        """
        if (key, customer) not in self._inputs:
            names = [customer] if key in self.specs else list(self.customers)
            newest = newest_inputs(self.instance, key, names)
            self._inputs.update({(key, name): newest[name] for name in names})
        return self._inputs[key, customer]


def newest_inputs(
    instance: dg.DagsterInstance, key: dg.AssetKey, customers: Collection[str]
) -> dict[str, tuple[str, str]]:
    """By customer: which event materialized an asset last, as Dagster points to it, and its data's version."""
    storage, names = instance.event_log_storage, list(customers)
    events = storage.get_latest_storage_id_by_partition(key, MATERIALIZED, set(names))
    tags = storage.get_latest_tags_by_partition(key, MATERIALIZED, [DATA_VERSION_TAG], asset_partitions=names)
    return {
        name: (str(events.get(name, NULL_EVENT_POINTER)), tags.get(name, {}).get(DATA_VERSION_TAG, UNNOTED))
        for name in names
    }


def decided(instance: dg.DagsterInstance, key: dg.AssetKey, customer: str, champion: int | None) -> Notes:
    """The notes where a person decided: the code and inputs of the newest materialization, and who is champion now."""
    newest = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[customer])
    records = instance.fetch_materializations(newest, limit=1).records
    materialization = records[0].asset_materialization if records else None
    tags = dict(materialization.tags or {}) if materialization else {}
    if CODE_VERSION_TAG not in tags:
        return {}
    own = {name: value for name, value in tags.items() if name.startswith(OF_CODE_AND_INPUTS)}
    return own | _data_notes(champion_version(champion))


def noted_here(instance: dg.DagsterInstance, entry: EventLogEntry) -> EventLogEntry:
    """An entry of a step that ran elsewhere: a materialization points to its inputs as they are numbered here."""
    event = entry.dagster_event
    if event is None or event.event_type != MATERIALIZED or event.partition is None:
        return entry
    data = event.step_materialization_data
    tags = dict(data.materialization.tags or {})
    for tag in [tag for tag in tags if tag.startswith(INPUT_EVENT_POINTER_TAG_PREFIX)]:
        key = dg.AssetKey.from_user_string(tag.removeprefix(f"{INPUT_EVENT_POINTER_TAG_PREFIX}/"))
        pointer, version = newest_inputs(instance, key, [event.partition])[event.partition]
        tags |= {tag: pointer, get_input_data_version_tag(key): version}
    own = data._replace(materialization=data.materialization._replace(tags=tags))
    return entry._replace(dagster_event=event._replace(event_specific_data=own))


def _data_notes(version: str) -> Notes:
    return {DATA_VERSION_TAG: version, DATA_VERSION_IS_USER_PROVIDED_TAG: "true"}
