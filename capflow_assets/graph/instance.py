"""The home's Dagster instance: opened by one process at a time, so that its stores are made once (``first_use``)."""

from __future__ import annotations

import os
from typing import Any

import dagster as dg

from capflow_assets.errors import CapflowError
from capflow_assets.home.databases import require_sound_dagster
from capflow_assets.home.places import Home
from capflow_assets.processes.first_use import alone_in_home
from capflow_assets.processes.sqlite_schemas import double_schemas

# The code location of ``workspace.yaml``, and how Dagster calls what a module defines.
LOCATION, REPOSITORY = "capflow", "__repository__"


def open_instance(home: Home) -> dg.DagsterInstance:
    """The home's Dagster, each of its stores made and at its newest schema."""
    home.prepare()
    if not os.access(home.root, os.W_OK):  # it can be looked at; whoever made it had made its stores
        return dg.DagsterInstance.get()
    with alone_in_home(home):
        require_sound_dagster(home)
        try:
            instance = _of_workspace(dg.DagsterInstance.get())
            # Each is made when it is first asked.
            instance.get_run_records(limit=1)
            instance.event_log_storage.get_maximum_record_id()
            instance.all_instigator_state()
        except Exception as error:
            _refuse_double_schemas(home, error)
            raise
    return instance


def _of_workspace(instance: dg.DagsterInstance) -> dg.DagsterInstance:
    """The instance, whose runs are of the workspace's jobs also where they are executed in this process.

    Dagster's page shows in its timeline, and lets repeat, what says of which workspace it is.
    """
    from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(LOCATION), REPOSITORY)
    create = instance.create_run_for_job

    def create_run_for_job(job_def: dg.JobDefinition, **given: Any) -> dg.DagsterRun:
        return create(job_def, **({"remote_job_origin": RemoteJobOrigin(repository, job_def.name)} | given))

    instance.create_run_for_job = create_run_for_job  # type: ignore[assignment, method-assign]
    return instance


def _refuse_double_schemas(home: Home, error: Exception) -> None:
    for double in double_schemas(home):
        received = f"{double.words()}: two processes made it at once"
        raise CapflowError("Dagster's store cannot be opened", came=received, do="capflow doctor --mend") from error
