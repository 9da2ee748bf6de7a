"""What to say of another library's error that ended a table: a file that breaks off, an engine that gives up."""

from __future__ import annotations

from collections.abc import Mapping

from capflow_assets.blueprint.specs import TableSpec
from capflow_assets.contract import Source
from capflow_assets.customers.customer import Customer
from capflow_assets.errors import SourceError, TableError
from capflow_assets.foreign import first_words, lake_error, worker_words
from capflow_assets.stores.lake import Lake
from capflow_assets.stores.table_damage import culprit
from capflow_assets.tables.query_rows import unread_value

EXHAUSTED = "Resources exhausted"
MORE_MEMORY = "allow it more: SAIL_RUNTIME__MEMORY_POOL__GREEDY__MAX_SIZE, in bytes; or run the table on a cluster"


def words_for(error: Exception, lake: Lake, sources: Mapping[str, Source], customer: Customer, spec: TableSpec) -> str:
    """The error in words that name the table, the source or the damaged input, and say what to do."""
    if words := worker_words(error):
        return words
    received = first_words(error)
    is_raw = spec.function is None
    if about_disk := lake_error(error, lake.names, is_source_read=is_raw):
        return str(about_disk)
    tables = sorted({spec.key, *spec.waits_for, *(source.table for source in spec.inputs)})
    if damaged := culprit(customer.name, [(table, lake.path(customer.name, table)) for table in tables], str(error)):
        return str(damaged)
    if EXHAUSTED in received:
        return str(TableError(f"{spec.key} needs more memory than the engine may take", came=received, do=MORE_MEMORY))
    if not is_raw:
        return received
    if unread := unread_value(lake.spark(), sources, customer, spec.name, received):
        return str(unread)
    what, where = f"The source of {spec.name} cannot be read", customer.location(spec.name)
    do = "export it again and whole, and see that its options say how it is written"
    return str(SourceError(what, came=received, where=where, do=do))
