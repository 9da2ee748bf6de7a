"""The partition of everything: one dynamic partition per customer, and since when each has been there."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

CUSTOMERS = dg.DynamicPartitionsDefinition(name="customer")

# A cohort of tables is one run (one Databricks run, when grown). Models take fewer customers at a time, since training
# is the longer work. The two sizes must differ: a backfill puts assets of one policy into one run, and there the
# failure of one customer's tables would keep everybody's models from starting.
TABLES_COHORT = 25
MODELS_COHORT = 10


def partition_signs(instance: dg.DagsterInstance) -> dict[str, str]:
    """What tells each customer from one who had its name before and was retired: when its partition was added."""
    storage: Any = instance.event_log_storage
    if not hasattr(storage, "index_connection"):  # none that keeps its records in SQL
        return dict.fromkeys(instance.get_dynamic_partitions(str(CUSTOMERS.name)), "")
    from dagster._core.storage.event_log.schema import DynamicPartitionsTable as Table
    from sqlalchemy import select

    query = select(Table.c.partition, Table.c.id, Table.c.create_timestamp)
    with storage.index_connection() as connection:
        rows = connection.execute(query.where(Table.c.partitions_def_name == CUSTOMERS.name)).fetchall()
    return {customer: f"{number} of {added}" for customer, number, added in rows}


def of_same_customers(
    state: Mapping[str, str], signs_before: Mapping[str, str], signs: Mapping[str, str]
) -> dict[str, str]:
    """The entries of a sensor's memory, by customer or ``customer.model``, whose customer is still the same one.

    An entry whose customer had no sign yet, from an earlier release, is taken for the present one's.

    >>> of_same_customers({"ann": "x", "bob.churn": "y", "cid": "z"}, {"bob": "1"}, {"ann": "1", "bob": "2"})
    {'ann': 'x'}
    """
    customers = {name: name.partition(".")[0] for name in state}
    return {
        name: state[name]
        for name, customer in customers.items()
        if customer in signs and signs_before.get(customer, signs[customer]) == signs[customer]
    }
