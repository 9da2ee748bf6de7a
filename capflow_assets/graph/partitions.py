"""The partition of everything: one dynamic partition per customer."""

import dagster as dg

CUSTOMERS = dg.DynamicPartitionsDefinition(name="customer")

# A cohort of tables is one run (one Databricks run, when grown). Models take fewer customers at a time, since training
# is the longer work. The two sizes must differ: a backfill puts assets of one policy into one run, and there the
# failure of one customer's tables would keep everybody's models from starting.
TABLES_COHORT = 25
MODELS_COHORT = 10
