"""What stands between a deployment and its work, found by trying it: `capflow doctor`.

Belongs here: checks that look at the place where CapFlow runs, one file for each area, and each of them says what to
do. Does not belong here: the customers' data (that is ``validation``), and mending in passing: a check leaves things as
it found them, and what it writes to try a place is called ``_doctor-…`` and taken away at once. A finding may carry a
``mend``, which `capflow doctor --mend` calls.

A check is a generator of ``Diagnosis`` over a ``Case``; the area's file names it in ``CHECKS``, and nothing else is
edited.

| check | what is tried |
|---|---|
| ``configuration.variables`` | ``CAPFLOW_*`` and addresses: known names, possible values, no stray spaces |
| ``configuration.secrets`` | what ``CAPFLOW_SECRETS`` names can be read; later checks have those variables |
| ``configuration.home`` | the home is there and can be written, or can be made |
| ``configuration.dagster`` | Dagster accepts the home's ``dagster.yaml`` |
| ``configuration.postgres_url`` | ``CAPFLOW_POSTGRES_URL`` has a driver, a host and a database |
| ``configuration.s3`` | ``AWS_*`` say the same to everything that reads a bucket |
| ``configuration.customers`` | every customer's TOML is right |
| ``sources.variables`` | the variables that customers' sources name for credentials are set |
| ``sources.reachable`` | every declared table's files are there, or its server answers |
| ``versions.python`` | Python is one that CapFlow runs on |
| ``versions.packages`` | installed packages are those that CapFlow pins |
| ``services.engine`` | Spark computes; its version fits pyspark |
| ``services.dagster`` | Dagster's database answers, can be written, and its schema is this version's |
| ``services.mlflow`` | MLflow answers; server and client, or schema and code, fit |
| ``lake.identity`` | who calls the bucket |
| ``lake.reachable`` | list, write, read back and delete in the lake |
| ``lake.delta`` | a Delta table is committed there and read back |
| ``lake.bucket`` | the bucket's region, versioning and encryption |
| ``lake.tables`` | every table's log can be read, and the files that it names are there |
| ``models.places`` | MLflow's addresses of model files lead into this home's lake, wherever it is |
| ``models.digests`` | the digest of every version's files is kept, so that no other file is loaded in their place |
| ``models.champions`` | every champion's files are whole; who answers where they are not; decisions carried out |
| ``answers.store`` | what `capflow serve` answers from, of customers with a token, can be read and has not expired |
| ``permissions.files`` | nobody else may write to the home, the customers or the local lake |
| ``permissions.readers`` | nobody else may read the customers' keys, or on a machine with other users their rows |
| ``permissions.engine`` | nobody else may connect to the engine |
| ``clock.skew`` | this machine's clock against those of S3, MLflow and Databricks |
| ``clock.time_zones`` | the time zone database is there |
| ``machine.disk`` | free space for the home, the lake and temporary files |
| ``machine.memory`` | memory, that of the container where there is one |
| ``machine.open_files`` | how many files a process may open |
| ``machine.event_log`` | the size of Dagster's event log on this disk |
| ``daemon.heartbeat`` | Dagster's daemon runs |
| ``daemon.sensors`` | sensors are on and their last tick was no failure |
| ``records.schemas`` | each SQLite store has one number of its schema: two that made it at once left two |
| ``records.runs`` | no run is under way whose process is gone |
| ``databricks.settings`` | the file that ``CAPFLOW_DATABRICKS`` names is right |
| ``databricks.workspace`` | the workspace answers and knows the caller |
| ``databricks.staging`` | the staging place can be written and read |
| ``databricks.compute`` | clusters, pools, policies, node types and runtimes exist; Spark fits pyspark |
| ``databricks.packages`` | packages on a standing cluster are those of this side |
| ``databricks.secrets`` | every secret that a step will ask for exists |
"""

from capflow_assets.doctor.case import Case, Diagnosis
from capflow_assets.doctor.examination import COLUMNS, Result, checks, examine
from capflow_assets.doctor.grid import grid

__all__ = ["COLUMNS", "Case", "Diagnosis", "Result", "checks", "examine", "grid"]
