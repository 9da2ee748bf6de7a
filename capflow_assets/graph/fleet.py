"""The fleet: all customers and models on one picture, as an asset without partitions.

Its state is outside the lake, where every prefix belongs to one customer: ``{home}/fleet/readiness.png`` and ``.csv``.
"""

import csv
import io
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from capflow_assets.blueprint.code_version import code_digest
from capflow_assets.blueprint.stages import Stages
from capflow_assets.deployment import Deployment
from capflow_assets.errors import CapflowError
from capflow_assets.graph import customer_files
from capflow_assets.graph.customer_tables import OWNER
from capflow_assets.graph.engine import Engine
from capflow_assets.graph.gone_runs import COMMAND
from capflow_assets.graph.held_work import tag_run
from capflow_assets.graph.launch import QUIET
from capflow_assets.graph.newest import newest
from capflow_assets.graph.onboarding import refusals_in
from capflow_assets.graph.status import ENTRIES_OF_HEALTH
from capflow_assets.home.places import Home
from capflow_assets.life import verdicts
from capflow_assets.life.verdicts import FLEET, OFF, READINESS, UNKNOWN, Standing, fleet_edges, standings
from capflow_assets.pages.plots import markdown, png
from capflow_assets.pages.spreadsheet import harmless
from capflow_assets.processes.run_processes import this_process

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Told apart by lightness and sign too, by those who see no difference between green and red.
LOOKS = {
    "ready": ("#2a9d6f", "✓", "white"),
    "at risk": ("#f6c244", "!", "black"),
    "not ready": ("#a3172a", "✗", "white"),
    UNKNOWN: ("#e4e4e4", "?", "0.35"),
    OFF: ("#f7f7f7", "·", "0.6"),
}
# More than that are not legible on one picture; the others are in the table and in the file.
MOST_DRAWN = 45
# With more models than that, their names stand at a slant over narrow columns.
WORDS_FIT = 6
MOST_REASONS = 200


def fleet_asset(stages: Stages, deploy: Callable[[Engine], Deployment]) -> dg.AssetsDefinition:
    """The asset ``fleet/readiness``."""

    @dg.asset(
        key=FLEET.split("/"),
        check_specs=[customer_files.SPEC],
        deps=[dg.AssetKey(key.split("/")) for key in sorted(fleet_edges(stages))],
        description="Which models each customer can have: ready, at risk, not ready, and why. All customers at once.",
        group_name="fleet",
        owners=[OWNER],
        kinds={"python"},
        code_version=code_digest(Path(verdicts.__file__)),
        required_resource_keys={"pyspark"},
    )
    def readiness(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        deployment = deploy(context.resources.pyspark)
        tag_run(context.instance, context.run.run_id, deployment.home)
        return dg.MaterializeResult(
            metadata=metadata(deployment, list(matrix(deployment, context.instance))),
            check_results=[customer_files.check_result(refusals_in(deployment))],
        )

    return readiness


def fleet_schedule() -> dg.ScheduleDefinition:
    """The picture is drawn anew every morning."""
    return dg.ScheduleDefinition(
        name="fleet_readiness",
        cron_schedule="0 6 * * *",
        target=dg.AssetSelection.assets(dg.AssetKey(FLEET.split("/"))),
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Draws the fleet's readiness anew.",
    )


def draw_fleet(defs: dg.Definitions, instance: dg.DagsterInstance) -> bool:
    """Materialize the picture in this process, and say whether that went well."""
    job = defs.resolve_implicit_global_asset_job_def()
    selection = [dg.AssetKey(FLEET.split("/"))]
    result = job.execute_in_process(
        instance=instance,
        run_id=(run_id := str(uuid.uuid4())),
        tags={COMMAND: "capflow run", **this_process(Home.of()).tags(run_id)},
        asset_selection=selection,
        run_config=dict(QUIET),
        raise_on_error=False,
    )
    return bool(result.success)


def matrix(deployment: Deployment, instance: dg.DagsterInstance, now: datetime | None = None) -> Iterator[Standing]:
    """Every customer and model, in order."""
    models, customers = list(deployment.stages.models), deployment.customers()
    entries = {f"health/{name}": ENTRIES_OF_HEALTH for name in models} | {READINESS: {"reason"}}
    records = newest(instance, entries, customers)
    for customer in customers:
        drifts = {name: records[f"health/{name}"].get(customer, {}) for name in models}
        missing = {} if _is_made(deployment, customer) else records[READINESS].get(customer, {})
        # The TOML is read where a standing asks for it, once for all of them.
        zone, is_archive = cache(partial(deployment.zone, customer)), cache(partial(deployment.is_archive, customer))
        why, has_model = missing.get("reason", ""), deployment.model_choice(customer)
        yield from standings(deployment.lake, customer, models, drifts, why, now, zone, has_model, is_archive)


def _is_made(deployment: Deployment, customer: str) -> bool:
    """Whether a customer has a readiness table, be it one that cannot be read: its standings say so."""
    try:
        return deployment.lake.exists(customer, READINESS)
    except CapflowError:
        return True


def metadata(deployment: Deployment, cells: Sequence[Standing]) -> dict[str, Any]:
    """The picture, the matrix and the reasons as asset metadata; picture and all rows are kept as files too."""
    folder = deployment.home.root / "fleet"
    folder.mkdir(parents=True, exist_ok=True)
    content = png(heat_map(cells))
    picture, rows = folder / "readiness.png", folder / "readiness.csv"
    picture.write_bytes(content)
    rows.write_text(as_csv(cells), encoding="utf-8")
    counts = Counter(cell.readiness for cell in cells)
    explained = [cell for cell in cells if cell.reasons]
    return {
        **{state.replace(" ", "_"): counts[state] for state in LOOKS},
        "customers": len({cell.customer for cell in cells}),
        "matrix": dg.MetadataValue.table(_records(cells)) if cells else "no customers yet",
        "reasons": dg.MetadataValue.table(list(map(_reason, explained[:MOST_REASONS]))) if explained else "none",
        "plot": dg.MetadataValue.md(markdown(content, FLEET)),
        "page": dg.MetadataValue.url("/models"),
        "plot_file": dg.MetadataValue.path(str(picture)),
        "rows_file": dg.MetadataValue.path(str(rows)),
    }


def _records(cells: Sequence[Standing]) -> list[dg.TableRecord]:
    by_customer: dict[str, dict[str, str | int | float | bool]] = {}
    for cell in cells:
        by_customer.setdefault(cell.customer, {"customer": cell.customer})[cell.model] = cell.readiness
    return [dg.TableRecord(row) for row in by_customer.values()]


def _reason(cell: Standing) -> dg.TableRecord:
    return dg.TableRecord(
        {"customer": cell.customer, "model": cell.model, "readiness": cell.readiness, "reason": "; ".join(cell.reasons)}
    )


def as_csv(cells: Sequence[Standing]) -> str:
    """The standings as CSV, one a line, with nothing that a spreadsheet would take for a formula."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("customer", "model", "readiness", "reason"))
    for cell in cells:
        writer.writerow(map(harmless, (cell.customer, cell.model, cell.readiness, "; ".join(cell.reasons))))
    return stream.getvalue()


def heat_map(cells: Sequence[Standing]) -> "Figure":
    """Customers from top to bottom, models from left to right; a colour and a sign for how each stands."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch, Rectangle

    customers, models = (list(dict.fromkeys(getattr(cell, name) for cell in cells)) for name in ("customer", "model"))
    drawn = {name: row for row, name in enumerate(_worst_first(customers, cells)[:MOST_DRAWN])}
    many = len(models) > WORDS_FIT
    size = (2.6 + (0.34 if many else 0.95) * len(models), 1.9 + (0.22 if len(drawn) > 30 else 0.3) * len(drawn))
    figure = Figure(figsize=(max(6.4, size[0]), size[1]), dpi=100, layout="constrained")
    axes = figure.subplots()
    for cell in cells:
        if cell.customer in drawn:
            colour, sign, ink = LOOKS[cell.readiness]
            place = (models.index(cell.model), drawn[cell.customer])
            axes.add_patch(Rectangle((place[0] - 0.5, place[1] - 0.5), 1, 1, facecolor=colour, edgecolor="white", lw=2))
            axes.text(*place, sign, ha="center", va="center", color=ink, fontsize=9, fontweight="bold")
    axes.set(xlim=(-0.5, max(1, len(models)) - 0.5), ylim=(max(1, len(drawn)) - 0.5, -0.5))
    tilt: dict[str, Any] = {"rotation": 55, "ha": "left", "rotation_mode": "anchor"} if many else {}
    axes.set_xticks(range(len(models)), [name.replace("_", " ") for name in models], fontsize=8, **tilt)
    axes.set_yticks(range(len(drawn)), list(drawn), fontsize=8)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(_title(cells, len(customers)), loc="left", fontsize=10)
    counts = Counter(cell.readiness for cell in cells)
    legend = [Patch(facecolor=LOOKS[s][0], label=f"{LOOKS[s][1]}  {s} ({counts[s]:,})") for s in LOOKS if counts[s]]
    figure.legend(handles=legend, loc="outside lower left", ncols=len(legend), frameon=False, fontsize=8)
    return figure


def _worst_first(customers: list[str], cells: Sequence[Standing]) -> list[str]:
    """All by name; where they do not fit, those with most that is missing."""
    if len(customers) <= MOST_DRAWN:
        return customers
    lacking = Counter(cell.customer for cell in cells if cell.readiness in ("not ready", UNKNOWN))
    return sorted(customers, key=lambda name: (-lacking[name], name))


def _title(cells: Sequence[Standing], customers: int) -> str:
    ready = sum(cell.readiness in ("ready", "at risk") for cell in cells)
    shown = f"; the {MOST_DRAWN} customers that lack most" if customers > MOST_DRAWN else ""
    return f"{ready:,} of {len(cells):,} models of {customers:,} customers can be trained{shown}"
