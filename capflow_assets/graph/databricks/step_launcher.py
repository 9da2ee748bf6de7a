"""Steps as Databricks runs: our launcher on dagster-databricks', mending what a fleet of customers needs mended.

| the stock launcher | here |
|---|---|
| stages on DBFS; needs a global ``sc`` | a Unity Catalog volume or DBFS; dedicated, standard and serverless compute |
| ships the one partition of a run | ships every customer of the cohort, and the TOML files of those customers alone |
| zips the code for each step | a wheel named after its contents, uploaded once per version of the code |
| pickles both ways | JSON of Dagster's named types both ways |
| two calls a poll, and five more while there are no events | one call a poll, and pauses that grow with the run |
| leaves staged files behind | removes what it staged |

What is trusted: the staging folder holds the code and the step, so who can write there can run as the step does; keep
it writable for the submitting identity alone (``capflow doctor`` looks). What comes back is data: no pickle is read,
only Dagster's own event types are made of it, only lines that carry this submission's token and run are taken. The step
itself is read by the cluster only if it has the SHA-256 that the submitted run names.
"""

import hashlib
import json
import secrets
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
from dagster._core.definitions.metadata import MetadataValue
from dagster._core.errors import raise_execution_interrupts
from dagster._core.events import DagsterEvent, DagsterEventType, EngineEventData
from dagster._core.events.log import EventLogEntry
from dagster._core.execution.context.system import StepExecutionContext
from dagster._core.execution.plan.execute_step import core_dagster_event_sequence_for_step
from dagster_databricks import DatabricksPySparkStepLauncher

from capflow_assets.deployment import Deployment
from capflow_assets.errors import CapflowError
from capflow_assets.graph.check_records import retargeted
from capflow_assets.graph.databricks.remote_events import Events, Pace
from capflow_assets.graph.databricks.remote_step import STEP_FILE
from capflow_assets.graph.databricks.settings import Settings
from capflow_assets.graph.databricks.shipment import ship_code, step_content
from capflow_assets.graph.databricks.staging import Staging, staging_of
from capflow_assets.graph.databricks.submitted_run import ComputeError, DatabricksRun, Submission, reached
from capflow_assets.graph.held_work import hold_all
from capflow_assets.graph.partitions import CUSTOMERS
from capflow_assets.graph.provenance import noted_here

# How many looks without news until the run's own state is asked for.
STATE_EVERY = 5
SDK_PATIENCE_S = 2


class StepLauncher(DatabricksPySparkStepLauncher):
    """Launches a step on the compute that the settings name for it, or leaves it in the orchestrator.

    One step is one run, whatever the number of its customers. Who calls is the SDK's to find out, from the environment.
    """

    def __init__(self, settings: Settings, deployment: Deployment, host: str) -> None:
        with warnings.catch_warnings():
            # Superseded by Pipes, without a plan to remove it; see the deployment's page for why not Pipes.
            warnings.simplefilter("ignore")
            super().__init__(
                run_config={},
                permissions={},
                databricks_host=host,
                secrets_to_env_variables=[],
                staging_prefix="/unused",
                wait_for_logs=False,
                max_completion_wait_time_seconds=int(settings.longest_hours * 3600),
                poll_interval_sec=settings.poll_seconds,  # type: ignore[arg-type]
                local_dagster_job_package_path="unused",
            )
        self.settings, self.deployment = settings, deployment

    def launch_step(self, step_context: StepExecutionContext) -> Iterator[DagsterEvent]:
        """Submit the step, hand on its events as they come, and leave nothing behind.

        Raises:
            dagster.RetryRequested: the compute failed, not the work, and there are tries left.
            dagster.Failure: the step could not be brought to its end; the reason says what to do.
        """
        work = step_context.op_def.name.removesuffix("_model")
        chosen = self.settings.compute_of(work)
        if chosen is None:
            yield from core_dagster_event_sequence_for_step(step_context)
            return
        customers = customers_of(step_context)
        try:
            with hold_all(step_context, self.deployment.home, customers):
                yield from self._launched(step_context, work, chosen, customers)
        except CapflowError as error:
            raise dg.Failure(str(error), allow_retries=False) from None

    def _launched(
        self,
        step_context: StepExecutionContext,
        work: str,
        chosen: tuple[str, Any],
        customers: tuple[str, ...],
    ) -> Iterator[DagsterEvent]:
        name, compute = chosen
        client = self._client()
        staging = staging_of(client, self.settings.staging)
        submission = Submission(
            name=f"{work} of {_listed(customers)}",
            place=f"runs/{step_context.run_id}/{step_context.step.key}-{secrets.token_hex(8)}",
            compute_name=name,
            compute=compute,
            customers=customers,
            tags=cost_tags(step_context.dagster_run.tags),
        )
        try:
            run = self._submitted(step_context, client, staging, submission)
            yield from self._followed(step_context, staging, submission, run)
        except ComputeError as failure:
            tries = self.settings.retries
            if step_context.previous_attempt_count >= tries:
                raise dg.Failure(str(failure), allow_retries=False) from None
            step_context.log.warning(f"{failure}\n  A new try follows; {tries} are allowed (retries).")
            raise dg.RetryRequested(max_retries=tries, seconds_to_wait=self.settings.poll_seconds) from failure

    def _client(self) -> Any:
        """The stock launcher's client, but for its patience: how long a call is tried again is the settings' to say."""
        from databricks.sdk import WorkspaceClient

        config = self.databricks_runner.client.workspace_client.config.copy()
        config.retry_timeout_seconds = SDK_PATIENCE_S
        return WorkspaceClient(config=config)

    def _submitted(
        self, step_context: StepExecutionContext, client: Any, staging: Staging, submission: Submission
    ) -> DatabricksRun:
        home, host = self.deployment.home, self.databricks_host
        step = json.dumps(step_content(step_context, self.settings, home, host, submission)).encode()
        arguments = [staging.mounted(submission.place), hashlib.sha256(step).hexdigest()]
        work, libraries = ship_code(step_context, self.settings, staging, arguments)
        reached(lambda: staging.put(STEP_FILE.format(submission.place), step), self.settings)
        return DatabricksRun.submit(
            client,
            self.settings,
            submission,
            work=work,
            libraries=libraries,
            size_bytes=lambda: self.deployment.stored_bytes(submission.customers),
        )

    def _followed(
        self, step_context: StepExecutionContext, staging: Staging, submission: Submission, run: DatabricksRun
    ) -> Iterator[DagsterEvent]:
        events = Events(staging, submission)
        try:
            with raise_execution_interrupts():
                yield self._waiting(step_context, run)
                for remote in self._entries(step_context, events, run):
                    entry = noted_here(step_context.instance, retargeted(step_context.instance, remote))
                    step_context.instance.handle_new_event(entry)
                    if entry.is_dagster_event:
                        yield entry.get_dagster_event()
        except BaseException:
            if not events.closed:
                run.cancel(step_context.log.warning)
            raise
        finally:
            _clean(step_context, staging, submission, events)
        for name in ("stdout", "stderr"):
            if events.last.get(name):
                step_context.log.info(f"{name} of Databricks run {run.run_id}:\n{events.last[name]}")
        step_context.log.info(f"Databricks run {run.run_id} completed.")

    def _entries(
        self, step_context: StepExecutionContext, events: Events, run: DatabricksRun
    ) -> Iterator[EventLogEntry]:
        """The step's events until it says that there are no more.

        Raises:
            ComputeError: the run never began, or its compute ended before the step did.
            CapflowError: the run was stopped, or the step broke outside of what Dagster runs.
        """
        pace, quiet = Pace(self.settings.poll_seconds, expected_assets(step_context)), 0
        while True:
            time.sleep(pace.pause())
            ended = None
            if quiet >= STATE_EVERY:
                ended, quiet = run.look(pace.elapsed), 0
            entries = reached(events.read, self.settings, run.url)
            pace.seen(
                sum(entry.is_dagster_event and entry.get_dagster_event().is_step_materialization for entry in entries)
            )
            yield from (entry for entry in entries if entry.run_id == step_context.run_id)
            if events.closed and events.last.get("error"):
                what = f"The step broke on Databricks before its end ({run.url})"
                raise run.stopped(pace.elapsed) or CapflowError(what, came=events.last["error"])
            if events.closed:
                return
            if ended:
                raise ended
            quiet = 0 if entries else quiet + 1

    @staticmethod
    def _waiting(step_context: StepExecutionContext, run: DatabricksRun) -> DagsterEvent:
        metadata: dict[str, Any] = {"databricks_run_id": run.run_id, "compute": run.compute_name}
        if run.url:
            metadata["databricks_run_url"] = MetadataValue.url(run.url)
        return DagsterEvent.from_step(
            event_type=DagsterEventType.ENGINE_EVENT,
            step_context=step_context,
            message=f"Waiting for Databricks run {run.run_id} on {run.compute_name}.",
            event_specific_data=EngineEventData(metadata=metadata),
        )


def launcher(settings: Settings, deployment: Deployment, environment: Mapping[str, str]) -> StepLauncher:
    """The launcher of a deployment.

    Raises:
        CapflowError: ``DATABRICKS_HOST`` is not set.
    """
    host = environment.get("DATABRICKS_HOST")
    if not host:
        do = "set DATABRICKS_HOST and DATABRICKS_TOKEN (or DATABRICKS_CLIENT_ID and DATABRICKS_CLIENT_SECRET)"
        raise CapflowError("CAPFLOW_DATABRICKS is set, but no workspace is named", expected="DATABRICKS_HOST", do=do)
    return StepLauncher(settings, deployment, host)


def customers_of(step_context: StepExecutionContext) -> tuple[str, ...]:
    """The customers of a run: its partition, or those of its range in the order in which they were onboarded."""
    window = step_context.partition_key_range
    if window.start == window.end:
        return (window.start,)
    with dg.partition_loading_context(dynamic_partitions_store=step_context.instance):
        return tuple(CUSTOMERS.get_partition_keys_in_range(window))


def expected_assets(step_context: StepExecutionContext) -> int:
    """How many assets the step will report if all goes well: those selected, once for each customer."""
    layer = step_context.job_def.asset_layer
    own = set(layer.get_selected_entity_keys_for_node(step_context.node_handle))
    assets = sum(isinstance(key, dg.AssetKey) for key in own)
    return assets * len(customers_of(step_context))


def cost_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags of the run that appear on the bill.

    >>> cost_tags({"cost/center": "crm", "dagster/partition": "acme"})
    {'cost/center': 'crm'}
    """
    return {name: value for name, value in tags.items() if name.startswith("cost/")}


def _listed(customers: Sequence[str]) -> str:
    return ", ".join(customers) if len(customers) <= 3 else f"{len(customers)} customers"


def _clean(step_context: StepExecutionContext, staging: Staging, submission: Submission, events: Events) -> None:
    """Remove what is still staged: the events, and the step itself where nobody came to read it."""
    unread = [] if events.closed else [STEP_FILE.format(submission.place)]
    try:
        for name in (*unread, *events.files):
            staging.remove(name)
    except Exception as error:  # what was staged is small; the step's outcome matters more
        step_context.log.warning(f"What was staged at {submission.place} could not be removed: {error}")
