"""What every run imports and builds before its first step; importing this module is doing all of it.

The process that runs are forked from (``forked_runs``) imports the module of the graph, and then this one. Nothing here
may start a thread or open a connection: neither survives a fork.
"""

import gc
import sys
from importlib import import_module

import dagster as dg

from capflow_assets.processes.collector import collect_seldom

MODULES = (
    "capflow_assets.graph.postgres_storage",
    "dagster._core.execution.plan.active",
    "dagster._core.executor.in_process",
    "dagster._core.instance.factory",
    "dagster._core.secrets.env_file",
    "dagster._core.storage.fs_io_manager",
    "dagster._core.storage.local_compute_log_manager",
    "dagster._core.storage.migration.utils",
    "dagster._core.storage.root",
    "dagster._core.system_config.composite_descent",
    "dagster._core.workspace.workspace",
    "dagster._grpc.server",
    "multiprocessing.popen_forkserver",
    "multiprocessing.synchronize",
    "psycopg2",
    "upath.implementations.local",
)


def warm() -> None:
    """Import the modules, read SQLite's migrations, and build the repository of each graph that is loaded."""
    for name in MODULES:
        import_module(name)
    from capflow_assets.graph.sqlite_storage import migrations

    migrations().get_current_head()
    for module in list(sys.modules.values()):
        graph = vars(module).get("defs")
        if isinstance(graph, dg.Definitions):
            repository = graph.get_repository_def()
            if repository.has_implicit_global_asset_job_def():
                repository.get_implicit_global_asset_job_def()
    collect_seldom()
    # A collection would write to each object, and with that copy the memory that runs share.
    gc.collect()
    gc.freeze()


warm()
