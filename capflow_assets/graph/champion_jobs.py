"""Jobs by which operators decide about champions in Dagster's UI: promote, rollback, freeze, thaw.

Each takes whom it is for in the launchpad, lists what would change, and changes nothing unless ``dry_run`` is off.
"""

from collections.abc import Callable, Iterator
from typing import get_args

import dagster as dg
from pydantic import Field

from capflow_assets.deployment import Deployment
from capflow_assets.graph.held_work import tag_run
from capflow_assets.graph.many_decisions import Chosen, carry_out, plan, summary
from capflow_assets.stores.registry_draft import Action

WORDS = {
    "promote": "Makes the challengers champions.",
    "rollback": "Makes the champions before the present ones champions again.",
    "freeze": "Keeps the champions whatever trainings find.",
    "thaw": "Lets trainings promote again what was frozen.",
}


class ForWhom(dg.Config):
    """Whom a decision is for, and why. One of customers, vertical and all."""

    customers: list[str] = Field(default=[], description="The customers' names.")
    vertical: str = Field(default="", description="All customers of this vertical.")
    all: bool = Field(default=False, description="All customers.")
    models: list[str] = Field(default=[], description="The models; all of them, where none is named.")
    reason: str = Field(description="Why; kept with each version.")
    dry_run: bool = Field(default=True, description="Only list what would change.")


def champion_jobs(deploy: Callable[[], Deployment]) -> Iterator[dg.JobDefinition]:
    """A job for each action."""
    for action in get_args(Action):
        yield _job(action, deploy)


def _job(action: Action, deploy: Callable[[], Deployment]) -> dg.JobDefinition:
    @dg.op(name=action, description=WORDS[action])
    def decide(context: dg.OpExecutionContext, config: ForWhom) -> None:
        deployment = deploy()
        tag_run(context.instance, context.run.run_id, deployment.home)
        chosen = Chosen(tuple(config.customers), config.vertical, config.all, tuple(config.models))
        changes = plan(deployment, chosen, action, config.reason)
        if not config.dry_run:
            pairs = [(change.customer, change.model) for change in changes if change.is_made]
            changes = carry_out(deployment, context.instance, pairs, action, config.reason, context.run)
        rows = [dg.TableRecord({"change": change.words(action)}) for change in changes]
        context.log.info("%s: %s", "dry run" if config.dry_run else "done", summary(changes, is_planned=config.dry_run))
        context.add_output_metadata(
            {
                "dry_run": config.dry_run,
                "summary": summary(changes, is_planned=config.dry_run),
                "changes": dg.MetadataValue.table(rows) if rows else "none",
            }
        )

    @dg.job(name=f"{action}_champions", description=f"{WORDS[action]} Lists what would change unless dry_run is off.")
    def job() -> None:
        decide()

    return job
