"""What a step takes to the cluster: the code as a wheel, the step as JSON, and the variables of its process."""

from typing import Any

from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from dagster._core.execution.context.system import StepExecutionContext
from dagster._serdes import serialize_value

from capflow_assets.errors import CapflowError
from capflow_assets.graph.databricks.code_wheel import DISTRIBUTION, ENTRY_POINT, FIRST_FILE, code_wheel, requirements
from capflow_assets.graph.databricks.settings import Settings
from capflow_assets.graph.databricks.staging import DBFS, Staging
from capflow_assets.graph.databricks.submitted_run import Submission, reached
from capflow_assets.graph.partitions import CUSTOMERS
from capflow_assets.home.operator import settings_text
from capflow_assets.home.places import Home

CODE = ("capflow_assets.definitions", "defs")


def ship_code(
    step_context: StepExecutionContext, settings: Settings, staging: Staging, arguments: list[str]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The task that runs our code, and the libraries that bring it, uploaded where they are not there yet."""
    wheel = code_wheel()
    on_dbfs = settings.staging.startswith(DBFS)
    # Spark takes no file that is called .whl onto its path.
    code = f"code/{wheel.name.removesuffix('.whl') + '.zip' if on_dbfs else wheel.name}"
    if not reached(lambda: staging.has(code), settings):
        if on_dbfs:
            reached(lambda: staging.put(f"{code}.py", FIRST_FILE), settings)
        reached(lambda: staging.put(code, wheel.content), settings)
        step_context.log.info(f"Uploaded {code}, {len(wheel.content):,} bytes")
    if on_dbfs:
        parameters = [staging.mounted(code), *arguments]
        task = {"python_file": staging.library(f"{code}.py"), "parameters": parameters}
        return {"spark_python_task": task}, [{"pypi": {"package": package}} for package in requirements()]
    named = {"package_name": DISTRIBUTION.replace("-", "_"), "entry_point": ENTRY_POINT}
    return {"python_wheel_task": {**named, "parameters": arguments}}, [{"whl": staging.library(code)}]


def step_content(
    step_context: StepExecutionContext, settings: Settings, home: Home, host: str, submission: Submission
) -> dict[str, Any]:
    """Everything that the cluster needs to know of the step, as JSON."""
    module, attribute = CODE
    repository = ReconstructableRepository.for_module(module, attribute, working_directory=None)
    run = step_context.dagster_run
    parts = {
        "run_config": step_context.run_config,
        "dagster_run": run,
        "retry_mode": step_context.retry_mode,
        "step_key": step_context.step.key,
        "recon_job": ReconstructableJob(repository, run.job_name),
        "known_state": step_context.get_known_state(),
    }
    files = {name: home.customers / f"{name}.toml" for name in submission.customers}
    return {
        "step": serialize_value(parts),  # type: ignore[arg-type]
        "token": submission.token,
        "partitions": {str(CUSTOMERS.name): list(submission.customers)},
        "customers": {name: file.read_text(encoding="utf-8") for name, file in files.items() if file.exists()},
        "settings": settings_text(home),
        "environment": environment(settings, home, host),
        "secrets": {variable: secret.model_dump() for variable, secret in settings.secrets.items()},
    }


def environment(settings: Settings, home: Home, host: str) -> dict[str, str]:
    """The variables of the step's process, secrets apart.

    Raises:
        CapflowError: the cluster could not reach the lake or MLflow, or MLflow's address holds a password.
    """
    declared = settings.environment
    variables = {"CAPFLOW_ENGINE": "cluster", "CAPFLOW_LAKE": home.lake, "MLFLOW_TRACKING_URI": home.mlflow_uri}
    variables = {name: value for name, value in variables.items() if name not in settings.secrets} | declared
    here = is_loopback(host)
    lake, mlflow = variables.get("CAPFLOW_LAKE", "s3://"), variables.get("MLFLOW_TRACKING_URI", "http://")
    if not here and not lake.startswith(("s3://", "/Volumes/")):
        do = "set CAPFLOW_LAKE to s3://bucket/prefix"
        raise CapflowError("The cluster cannot reach the lake", expected="s3://…", came=lake, do=do)
    if not here and mlflow.startswith(("sqlite:", "file:")):
        do = "run mlflow server and set MLFLOW_TRACKING_URI to its address, or to databricks"
        raise CapflowError("The cluster cannot reach MLflow", expected="http(s)://…", came="a local file", do=do)
    if "@" in mlflow.partition("://")[2]:
        do = "keep it in a secret scope: [secrets] MLFLOW_TRACKING_URI = { scope = …, key = … }"
        raise CapflowError("MLflow's address holds a password, which would be staged as plain text", do=do)
    return variables


def is_loopback(host: str) -> bool:
    """Whether the workspace is a server on this machine, which can reach this machine's files."""
    from urllib.parse import urlsplit

    return urlsplit(host if "://" in host else f"//{host}").hostname in ("127.0.0.1", "localhost", "::1")
