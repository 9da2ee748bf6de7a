"""What Dagster is told of the lineage of columns: of tables, and of models' answers."""

from __future__ import annotations

import dagster as dg

from capflow_assets.definitions import STAGES, defs
from capflow_assets.graph.column_lineage import KEY, answers_lineage, table_lineage
from capflow_assets.life.answers import table_of


def sources(lineage: dict[str, dg.TableColumnLineage], column: str) -> set[str]:
    return {f"{dep.asset_key.to_user_string()}.{dep.column_name}" for dep in lineage[KEY].deps_by_column[column]}


def test_a_table_says_what_its_columns_are_made_from() -> None:
    spec = STAGES.tables["features/rfm"]
    lineage = table_lineage(spec, spec.table.names, absent=())
    assert sources(lineage, "spend_total") == {"clean/bills.amount", "clean/bills.billed_at", "clean/bills.billed_on"}
    assert "as_of" not in lineage[KEY].deps_by_column


def test_a_table_as_it_landed_says_nothing() -> None:
    spec = STAGES.tables["raw/bills"]
    assert table_lineage(spec, spec.table.names, absent=()) == {}


def test_tables_that_a_customer_cannot_have_are_no_sources() -> None:
    spec = STAGES.tables["clean/bills"]
    lineage = table_lineage(spec, spec.table.names, absent=("clean/line_items", "raw/line_items"))
    assert sources(lineage, "amount") == {"raw/bills.amount"}


def test_a_score_is_made_from_the_columns_that_the_version_reads() -> None:
    spec = STAGES.model("churn")
    read = {"visits", "recency_days"}
    lineage = answers_lineage(STAGES, spec, read, table_of(spec.model).names, absent=())
    expected = {
        f"{reads.table}.{name}"
        for reads in spec.model.reads
        for name in reads.columns
        if reads.form == "frame" or name in read
    }
    assert sources(lineage, "score") == sources(lineage, "reasons") == expected
    assert sources(lineage, "decile") == {"predictions/churn.score"}
    assert {source.rpartition(".")[2] for source in sources(lineage, "user_id")} == {"user_id"}
    assert "model_version" not in lineage[KEY].deps_by_column


def test_sources_of_answers_are_columns_that_there_are() -> None:
    """Of every model, whatever its answer's shape; and every column but the provenance says something."""
    for name, spec in STAGES.models.items():
        columns = table_of(spec.model).names
        lineage = answers_lineage(STAGES, spec, set(spec.model.columns), columns, absent=())
        assert set(columns) - set(lineage[KEY].deps_by_column) == {"model_version", "rung", "as_of"}, name
        for dependencies in lineage[KEY].deps_by_column.values():
            for dependency in dependencies:
                table = "/".join(dependency.asset_key.path)
                there = STAGES.tables[table].table if table in STAGES.tables else table_of(_model(table))
                assert dependency.column_name in there.names or there.open


def _model(table: str):  # type: ignore[no-untyped-def]
    return STAGES.model(table.split("/")[1]).model


def test_the_columns_of_a_table_say_in_words_what_they_are_made_from() -> None:
    key = dg.AssetKey(["features", "rfm"])
    schema = defs.resolve_asset_graph().get(key).metadata["dagster/column_schema"]
    words = next(column.description for column in schema.columns if column.name == "tenure_days")
    assert words.endswith("; made from clean/bills (billed_at, billed_on)")


def test_predictions_declare_their_columns() -> None:
    key = dg.AssetKey(["predictions", "churn"])
    schema = defs.resolve_asset_graph().get(key).metadata["dagster/column_schema"]
    assert [column.name for column in schema.columns] == [*table_of(STAGES.model("churn").model).names]
