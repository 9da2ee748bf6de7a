"""The whole graph on one page, in the order the data flows.

What the packages declare is read in ``packages``, which knows no Dagster.
"""

from capflow_assets.processes.collector import paused

with paused():
    from capflow_assets.graph.build import build
    from capflow_assets.packages import SOURCES, STAGES

    # A cohort's process needs what the packages declare and no graph of it.
    defs = build(STAGES, SOURCES, module="capflow_assets.packages")

__all__ = ["SOURCES", "STAGES", "defs"]
