"""What a deployment says about Databricks, in one TOML file that ``CAPFLOW_DATABRICKS`` names.

Belongs here: reading and checking that file, every problem of it at once. Does not belong here: calling Databricks.
The workspace and who calls it are not in the file: the SDK reads ``DATABRICKS_HOST`` and its credentials itself.

    staging = "/Volumes/main/capflow/staging"      # or "dbfs:/capflow", for dedicated clusters only

    [runs_on]                                      # a compute below, or "orchestrator"
    customer_tables = "cpu"
    purchase_propensity = "serverless"

    [compute.cpu]
    kind = "new"
    spark_version = "18.0.x-scala2.13"
    node_type_id = "i4i.xlarge"
    max_workers = 16

    [compute.serverless]
    kind = "serverless"

    [secrets]
    AWS_SECRET_ACCESS_KEY = { scope = "capflow", key = "aws-secret" }
"""

from __future__ import annotations

import math
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from capflow_assets.customers.value_rules import rule_of
from capflow_assets.errors import CapflowError

ORCHESTRATOR = "orchestrator"
EVERYTHING = "*"
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
SECRET_NAME = re.compile(r"token|secret|password|passwd|credential|private_key|access_key", re.IGNORECASE)
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Declared(BaseModel):
    """A part of the file: unknown keys are errors, and nothing is converted."""

    model_config = ConfigDict(extra="forbid", defer_build=True, frozen=True, strict=True)


class Secret(Declared):
    """A secret of the workspace, by reference; its value is read on the cluster and nowhere else."""

    scope: Text
    key: Text


class Existing(Declared):
    """A cluster that is there already: for development, since everybody on it shares its Spark."""

    kind: Literal["existing"]
    cluster_id: Text


class Serverless(Declared):
    """Serverless compute; ``budget_policy_id`` says who pays."""

    kind: Literal["serverless"]
    environment_version: Text = Field(default="4", description="The version of the serverless environment.")
    budget_policy_id: Text | None = None
    dependencies: list[Text] = Field(default_factory=list, description="Packages besides ours, as pip writes them.")


class New(Declared):
    """A cluster made for one run: from an instance pool or of a node type, with as many workers as the data asks."""

    kind: Literal["new"]
    spark_version: Text = Field(description="The runtime; 18 is the first with Spark 4.1.")
    node_type_id: Text | None = None
    instance_pool_id: Text | None = None
    driver_node_type_id: Text | None = None
    driver_instance_pool_id: Text | None = None
    policy_id: Text | None = None
    access: Literal["dedicated", "standard"] = Field(default="dedicated", description="The cluster's access mode.")
    single_user_name: Text | None = Field(
        default=None, description="Whose a dedicated cluster is, if not the caller's."
    )
    min_workers: int = Field(default=1, ge=0, le=1000)
    max_workers: int = Field(default=8, ge=1, le=1000)
    gb_per_worker: float = Field(default=32, gt=0, description="Stored bytes of the cohort that one worker takes on.")
    spot: bool = Field(default=False, description="Workers on spot instances that fall back to on-demand ones.")
    instance_profile_arn: Text | None = None
    tags: dict[str, Text] = Field(default_factory=dict, description="Tags of the cluster, for the bill.")
    spark_conf: dict[str, Text] = Field(default_factory=dict)
    libraries: list[Text] = Field(default_factory=list, description="Packages besides ours, as pip writes them.")

    @model_validator(mode="after")
    def _one_place(self) -> New:
        if (self.node_type_id is None) == (self.instance_pool_id is None):
            raise ValueError("either node_type_id or instance_pool_id")
        if self.spot and self.instance_pool_id:
            raise ValueError("no spot beside instance_pool_id: the pool decides what its instances are")
        if self.max_workers < max(1, self.min_workers):
            raise ValueError(f"max_workers of at least min_workers, which is {self.min_workers}")
        return self

    def workers(self, size_bytes: int) -> tuple[int, int]:
        """The least and the most workers for a cohort of ``size_bytes``: what its bytes ask, within the bounds.

        >>> New(kind="new", spark_version="18", node_type_id="m", gb_per_worker=10).workers(35 * 10**9)
        (1, 4)
        """
        needed = math.ceil(size_bytes / (self.gb_per_worker * 1e9))
        return self.min_workers, max(self.min_workers, 1, min(self.max_workers, needed))


Compute = Annotated[Existing | Serverless | New, Field(discriminator="kind")]


class Settings(Declared):
    """The whole file."""

    staging: Text = Field(description="A Unity Catalog volume's folder, or dbfs:/ for dedicated clusters.")
    compute: dict[str, Compute] = Field(min_length=1)
    runs_on: dict[str, Text] = Field(description="customer_tables or a model, or * for the rest, to a compute.")
    environment: dict[str, str] = Field(default_factory=dict, description="Variables of the step's process; no secret.")
    secrets: dict[str, Secret] = Field(default_factory=dict, description="Variables whose value is a secret.")
    can_view: list[Text] = Field(default_factory=list, description="Groups that may see the runs in Databricks.")
    poll_seconds: float = Field(default=5, ge=0.05, le=600, description="First pause between two looks at a run.")
    start_minutes: float = Field(default=30, gt=0, description="A run that has not started by then is cancelled.")
    longest_hours: float = Field(default=24, gt=0, description="A run that takes longer is cancelled.")
    lost_minutes: float = Field(default=10, gt=0, description="How long the workspace may be out of reach.")
    retries: int = Field(default=1, ge=0, le=10, description="New tries when the compute failed, not the work.")

    @field_validator("staging")
    @classmethod
    def _known_staging(cls, place: str) -> str:
        if not re.fullmatch(r"/Volumes/[^/]+/[^/]+/[^/]+(/[^/]+)*|dbfs:(/[^/]+)+", place.rstrip("/")) or ".." in place:
            raise ValueError("/Volumes/catalog/schema/volume[/folder] or dbfs:/folder")
        return place.rstrip("/")

    @field_validator("environment")
    @classmethod
    def _no_secret(cls, variables: dict[str, str]) -> dict[str, str]:
        for name in variables:
            if not VARIABLE.fullmatch(name):
                raise ValueError(f"names of variables; {name!r} is none")
            if SECRET_NAME.search(name):
                raise ValueError(f"no secrets: give {name} in [secrets] as {{ scope = …, key = … }}")
        return variables

    @model_validator(mode="after")
    def _agrees(self) -> Settings:
        for work, name in self.runs_on.items():
            if name != ORCHESTRATOR and name not in self.compute:
                known = ", ".join([ORCHESTRATOR, *self.compute])
                raise ValueError(f"runs_on.{work} names one of {known}; it names {name!r}")
            chosen = self.compute.get(name)
            shared = isinstance(chosen, Serverless) or (isinstance(chosen, New) and chosen.access == "standard")
            if shared and self.staging.startswith("dbfs:"):
                raise ValueError(f"staging on a volume: compute.{name} cannot reach {self.staging}")
        return self

    def compute_of(self, work: str) -> tuple[str, Existing | Serverless | New] | None:
        """The compute of ``customer_tables`` or of a model with its name; None where it runs in the orchestrator."""
        name = self.runs_on.get(work, self.runs_on.get(EVERYTHING, ORCHESTRATOR))
        return None if name == ORCHESTRATOR else (name, self.compute[name])


def read_settings(path: str | Path) -> Settings:
    """The settings of a file.

    Raises:
        CapflowError: the file cannot be read, is not TOML, or breaks a rule; names every problem.
    """
    file = Path(path).expanduser()
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        do = "mend CAPFLOW_DATABRICKS, or unset it to run everything in the orchestrator"
        received = error.strerror or str(error)
        raise CapflowError("The Databricks settings cannot be read", came=received, where=str(file), do=do) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CapflowError("The Databricks settings are not TOML", came=str(error), where=str(file)) from error
    try:
        return Settings.model_validate(data)
    except ValidationError as error:
        words = "; ".join(_in_words(problem) for problem in error.errors(include_url=False))
        raise CapflowError("The Databricks settings are wrong", came=words, where=str(file), do="mend them") from None


def _in_words(problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    rule = "no key that is known" if problem["type"] == "extra_forbidden" else rule_of(problem)
    return f"{key}: {rule}" if key else rule
