"""``customer_tables``: every table of a customer as one multi-asset that can be subset, the way dbt assets do it."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import dagster as dg
from dagster._core.definitions.utils import is_valid_owner
from pydantic import Field

from capflow_assets.blueprint.specs import TableSpec
from capflow_assets.blueprint.stages import Stages
from capflow_assets.contract import Column, Finding, Table
from capflow_assets.deployment import Deployment
from capflow_assets.errors import GraphError
from capflow_assets.expressions.as_of import parse_moment
from capflow_assets.graph.check_records import check_spec
from capflow_assets.graph.cohort import placed, run_cohort
from capflow_assets.graph.cohort_process import Task
from capflow_assets.graph.column_lineage import in_words, table_lineage
from capflow_assets.graph.engine import Engine
from capflow_assets.graph.held_work import held
from capflow_assets.graph.outcomes import Outcome
from capflow_assets.graph.partitions import CUSTOMERS, TABLES_COHORT
from capflow_assets.home.keys import customer_key
from capflow_assets.landing import exports
from capflow_assets.pages import catalogue_page
from capflow_assets.pages.plots import markdown, png
from capflow_assets.pages.report import TABLES as PAGE_TABLES
from capflow_assets.pages.report import write_page
from capflow_assets.pages.wording import number, short
from capflow_assets.tables import catalogue, pictures, removals
from capflow_assets.tables.column_lineage import Source, kept, sources_of
from capflow_assets.tables.runner import TableRunner
from capflow_assets.tables.table_result import TableResult

# Of models and of the fleet; a table says its own.
OWNER = "team:data"
COLUMN = "column"
AS_OF_WORDS = "Read nothing after this day or ISO time. One that is not over is read as the moment of the newest bill."


class TablesConfig(dg.Config):
    """The settings of a run of tables."""

    as_of: str | None = Field(None, description=AS_OF_WORDS)
    full: bool = Field(False, description="Land all rows again, where a watermark reads newer ones.")


def customer_tables(
    stages: Stages, deploy: Callable[[Engine], Deployment], module: str | None = None
) -> dg.AssetsDefinition:
    """The multi-asset of all tables of ``stages``, which ``module`` holds, if any does."""

    @dg.multi_asset(
        name="customer_tables",
        specs=[table_asset(stages, stages.tables[key]) for key in stages.order],
        check_specs=list(check_specs(stages)),
        partitions_def=CUSTOMERS,
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.multi_run(TABLES_COHORT),
        required_resource_keys={"pyspark", "step_launcher"},
    )
    def tables(context: dg.AssetExecutionContext, config: TablesConfig):  # type: ignore[no-untyped-def]
        deployment = deploy(context.resources.pyspark)
        selected = frozenset("/".join(key.path) for key in context.selected_asset_keys)

        arguments: dict[str, Any] = {"selected": selected, "as_of": config.as_of, "full": config.full}
        engine = deployment.engine
        task = module and Task(module, engine.engine, engine.spark_config, land_and_compute, arguments)
        customers = context.partition_keys
        work = placed(customers, partial(land_and_compute, deployment, **arguments), task or None)
        yield from run_cohort(context, customers, held(context, deployment, work))

    return tables


def land_and_compute(
    deployment: Deployment, customer: str, selected: frozenset[str], as_of: str | None, full: bool
) -> Iterator[Outcome]:
    """The selected tables of one customer, and its catalogue of features if these are news.

    Raises:
        CapflowError: the as-of moment cannot be read or is ahead of now; no table has landed then.
    """
    declared = deployment.customer(customer)
    if as_of:
        parse_moment(as_of, declared.time_zone)
    runner = TableRunner(
        lake=deployment.lake,
        stages=deployment.stages.of_customer(declared.tables, declared.models, declared.features, declared.only_models),
        sources=deployment.sources,
        customer=declared,
        selected=selected,
        as_of=as_of,
        draw=png,
        full=full,
        key=partial(customer_key, deployment.home, customer),
        fence=partial(deployment.fence, declared),
    )
    is_news, absent = False, runner.stages.absent(declared.tables)
    for result in runner.run():
        is_news = is_news or bool(result.features)
        yield _outcome(deployment, customer, result, absent)
    if is_news:
        catalogue_page.write_page(deployment.lake, declared)


def table_asset(stages: Stages, spec: TableSpec) -> dg.AssetSpec:
    """The asset of one table: its lineage, group, kinds, code, and the columns it will have."""
    return dg.AssetSpec(
        key=[spec.stage, spec.name],
        deps=sorted(dg.AssetKey(table.split("/")) for table in spec.waits_for),
        description=f"{spec.description}\n\nOne row per {spec.table.grain}.",
        group_name=spec.stage,
        owners=[_owner(spec)],
        kinds={"pyspark", "deltalake"},
        skippable=True,
        partitions_def=CUSTOMERS,
        code_version=stages.code_versions.get(spec.key),
        # Dagster's catalogue looks for tags, and in columns only where it is paid for.
        tags={f"{COLUMN}/{name}": "" for name in spec.table.names},
        metadata={"dagster/column_schema": column_schema(spec.table, sources_of(kept(), spec, spec.table.names))},
    )


def _owner(spec: TableSpec) -> str:
    """Who is asked about a table.

    Raises:
        GraphError: Dagster knows no such owner.
    """
    if not is_valid_owner(spec.table.owner):
        expected = "team:NAME, or an e-mail address"
        raise GraphError(f"The owner of {spec.key} cannot be one", expected=expected, came=repr(spec.table.owner))
    return spec.table.owner


def _words(column: Column, sources: Sequence[Source]) -> str:
    formula = f" = {column.formula}" if column.formula else ""
    notes = ", ".join(note for note in (column.unit, column.window) if note)
    lineage = f"; {in_words(sources)}" if sources else ""
    return f"{column.description}{formula}" + (f" ({notes})" if notes else "") + lineage


def column_schema(table: Table, sources: Mapping[str, Sequence[Source]]) -> dg.TableSchema:
    """The declared columns, with units, rules and what each is made from, as Dagster shows them."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=column.name,
                type=column.type,
                description=_words(column, sources.get(column.name, ())),
                constraints=dg.TableColumnConstraints(nullable=not column.required),
            )
            for column in table.columns
        ]
    )


def feature_schema(features: Sequence[Mapping[str, Any]], sources: Mapping[str, Sequence[Source]]) -> dg.TableSchema:
    """The columns of a feature table as they turned out: how each is made, of what, filled and spread, and who learns
    of it.
    """

    def words(row: Mapping[str, Any]) -> str:
        is_spread = row["median"] is not None
        spread = ", ".join(f"{name} {short(row[name])}" for name in ("p05", "median", "p95")) if is_spread else ""
        parts = [
            row["description"],
            f"= {row['formula']}" if row["formula"] else "",
            f"unit: {row['unit']}" if row["unit"] else "",
            f"window: {row['window']}",
            f"filled: {number(row['fill_pct'], '%')}",
            spread,
            f"models: {row['models']}" if row["models"] else "",
            in_words(sources[row["feature"]]) if sources.get(row["feature"]) else "",
        ]
        return "; ".join(part for part in parts if part)

    return dg.TableSchema([dg.TableColumn(row["feature"], row["type"], words(row)) for row in features])


def check_specs(stages: Stages) -> Iterator[dg.AssetCheckSpec]:
    """A schema check for every table, two of landing for raw ones, one of cleaning, and the checks of validation."""
    for spec in stages.tables.values():
        asset = dg.AssetKey([spec.stage, spec.name])
        yield check_spec("schema", asset=asset, description="The table keeps its pandera schema; blocks.")
        if spec.stage == "raw":
            yield check_spec("landed", asset=asset, description="Every row of the source could be landed.")
            description = "No column that is kept as it comes looks personal."
            yield check_spec("personal_data", asset=asset, description=description)
        if spec.stage == "raw" and spec.name in exports.TABLES:
            description = "Where bills come in several exports, the TOML says which is the later."
            yield check_spec(exports.CHECK, asset=asset, description=description)
        if spec.stage == "clean":
            description = (
                "Cleaning removed no row for a reason that counts; beyond max_removed_pct the table is not written."
            )
            yield check_spec(removals.CHECK, asset=asset, description=description)
    for check in stages.checks:
        yield check_spec(check.name, asset=dg.AssetKey(check.table.split("/")), description=check.description)


def _outcome(deployment: Deployment, customer: str, result: TableResult, absent: Collection[str]) -> Outcome:
    key = dg.AssetKey(result.key.split("/"))
    findings = tuple((dg.AssetKey(table.split("/")), finding) for table, finding in result.findings)
    if result.status in ("failed", "blocked"):
        return Outcome(
            key, findings=findings, failure=result.reason, consequence_of=result.blocked_by, error=result.error
        )
    if result.status == "absent":
        finding = Finding("schema", False, f"absent: {result.reason}", found={"absent": True})
        return Outcome(key, {"status": "absent", "reason": result.reason}, ((key, finding),))
    return Outcome(key, table_metadata(deployment, customer, result, absent), findings)


def table_metadata(
    deployment: Deployment, customer: str, result: TableResult, absent: Collection[str]
) -> dict[str, Any]:
    """Rows, seconds, version, schema, lineage and picture of a written table, as asset metadata.

    ``absent`` are the tables that the customer cannot have.
    """
    spec = deployment.stages.tables[result.key]
    metadata: dict[str, Any] = {
        "status": "done",
        "dagster/row_count": result.rows,
        "seconds": round(result.seconds, 3),
        "seconds_computing": round(result.compute_seconds, 3),
        "version": result.version,
        "location": deployment.lake.path(customer, result.key),
        "columns": dg.MetadataValue.json(dict(result.columns)),
        **table_lineage(spec, result.columns, absent),
    }
    if result.as_of is not None:
        metadata["as_of"] = result.as_of.isoformat()
    if result.how:
        metadata["landed"] = result.how
    if result.features:
        metadata["dagster/column_schema"] = feature_schema(
            result.features, sources_of(kept(), spec, result.columns, absent)
        )
        metadata["features_page"] = dg.MetadataValue.url(f"/features?q={result.key.partition('/')[2]}")
        metadata["catalogue"] = deployment.lake.path(customer, catalogue.KEY)
    if result.counts:
        metadata["counts"] = dg.MetadataValue.json(dict(result.counts))
    if any(name.startswith(removals.PREFIX) for name in result.counts):
        metadata["removed"] = next(finding.message for _, finding in result.findings if finding.check == removals.CHECK)
    if result.key in PAGE_TABLES and all(_is_sound(deployment, customer, table) for table in PAGE_TABLES):
        metadata["report_page"] = dg.MetadataValue.url(f"/customers/{customer}/report")
        metadata["page"] = dg.MetadataValue.path(write_page(deployment.lake, deployment.customer(customer)))
    if result.plot:
        place = deployment.lake.save_bytes(customer, pictures.place(result.key), result.plot)
        metadata["plot"] = dg.MetadataValue.md(markdown(result.plot, result.key))
        metadata["plot_file"] = dg.MetadataValue.path(place)
    return metadata


def _is_sound(deployment: Deployment, customer: str, table: str) -> bool:
    """Whether there is such a table and it can be read; a damaged one is made anew by this run, later on."""
    return deployment.lake.exists(customer, table) and not deployment.lake.damage(customer, table)
