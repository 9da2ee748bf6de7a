"""The home's Dagster instance: opened by one process at a time, so that its stores are made once (``first_use``)."""

from __future__ import annotations

import os

import dagster as dg

from capflow_assets.errors import CapflowError
from capflow_assets.home.databases import require_sound_dagster
from capflow_assets.home.places import Home
from capflow_assets.processes.first_use import alone_in_home
from capflow_assets.processes.sqlite_schemas import double_schemas


def open_instance(home: Home) -> dg.DagsterInstance:
    """The home's Dagster, each of its stores made and at its newest schema."""
    home.prepare()
    if not os.access(home.root, os.W_OK):  # it can be looked at; whoever made it had made its stores
        return dg.DagsterInstance.get()
    with alone_in_home(home):
        require_sound_dagster(home)
        try:
            instance = dg.DagsterInstance.get()
            # Each is made when it is first asked.
            instance.get_run_records(limit=1)
            instance.event_log_storage.get_maximum_record_id()
            instance.all_instigator_state()
        except Exception as error:
            _refuse_double_schemas(home, error)
            raise
    return instance


def _refuse_double_schemas(home: Home, error: Exception) -> None:
    for double in double_schemas(home):
        came = f"{double.words()}: two processes made it at once"
        raise CapflowError("Dagster's store cannot be opened", came=came, do="capflow doctor --mend") from error
