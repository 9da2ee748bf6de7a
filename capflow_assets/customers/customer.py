"""What a customer declares in its TOML: who it is, where its tables lie, and what its columns mean.

Belongs here: reading and checking that file. Does not belong here: opening stores, and which tables there are. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from capflow_assets.contract import Source, Table
from capflow_assets.customers import toml_text
from capflow_assets.customers.checks_settings import CheckSettings, DeclaredCheck, check_problems
from capflow_assets.customers.declared_tables import (
    NotUsers,
    column_problems,
    landing_problems,
    problems_between,
    user_problems,
)
from capflow_assets.customers.delivery_settings import ContactSettings, Deliveries
from capflow_assets.customers.night_settings import NightSettings
from capflow_assets.customers.onboarding_problems import onboarding_problems, param_problems
from capflow_assets.customers.onboarding_settings import OnboardingSettings
from capflow_assets.customers.retraining_settings import Retraining
from capflow_assets.customers.serving_settings import ServingSettings
from capflow_assets.customers.table_inputs import (
    PACKAGE,
    Declared,
    InputSource,
    Origin,
    Text,
    described,
    filled,
    origins,
    query_problems,
    source_problems,
)
from capflow_assets.customers.toml_problems import unknown, validation_problems
from capflow_assets.errors import CapflowError, CustomerError, SourceError
from capflow_assets.landing import exports
from capflow_assets.landing.time_zones import known_zone

MOST_BYTES = 1 << 20
# Where a customer sends no table of a clean table's name.
MOST_REMOVED_PCT = 5.0
# Three slashes and a name start from the customer's folder, as any other location; four are an absolute path.
SQLITE = re.compile(r"sqlite(?:\+\w+)?:///")


def _absolute(folder: str) -> str:
    if not (folder.startswith("s3://") or Path(folder).is_absolute()):
        raise ValueError("an absolute folder or s3://bucket/folder")
    return folder


class TableSource(Declared):
    """Where one raw table comes from, and which of its columns mean what."""

    source: Text = Field(description="The kind of store: the name of a file in sources/.")
    location: Annotated[Text, Field(max_length=4096)] = Field(
        description="A file, folder or glob, or the address that the store has."
    )
    options: dict[str, Any] = Field(default_factory=dict, description="How the store is written; its Options.")
    max_rejected_pct: float = Field(default=5, ge=0, le=100, description="More rejected rows than that stop the table.")
    max_removed_pct: float = Field(
        default=MOST_REMOVED_PCT,
        ge=0,
        le=100,
        description="More rows removed in cleaning than that stop its clean table.",
    )
    bill_key: tuple[Text, ...] = Field((), description="What tells bills apart where their numbers restart.")
    columns: dict[str, Text] = Field(min_length=1, description="Canonical column = source column or Spark SQL.")
    query: Text | None = Field(None, description="Spark SQL over the inputs; the columns map over what it gives.")
    inputs: dict[str, InputSource] = Field(default_factory=dict, description="What the query reads, by name.")
    where: Text | None = Field(None, description="Spark SQL over the source's columns: only such rows land.")
    watermark: Text | None = Field(None, description="A source column that grows: only newer rows are read.")
    merge_on: tuple[str, ...] = Field((), description="Columns by which newer rows replace; else the table's key.")
    equal_lines: Literal["keep", "drop"] = Field("keep", description="What becomes of equal rows of a bill.")
    exports_by: Text | None = Field(None, description="Which of overlapping exports is later; else by file name.")
    personal: tuple[str, ...] = Field((), description="Columns that are hashed on landing.")
    plain: tuple[str, ...] = Field((), description="Columns that are called as what is personal, and are not.")

    _filled = model_validator(mode="before")(filled)

    @field_validator("merge_on", "personal", "plain", "bill_key", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value


class Sharing(Declared):
    """What a customer gives to others of its vertical: examples without ids and amounts, to learn from together."""

    give: bool = Field(default=True, description="Whether the vertical's pooled models may learn from its examples.")


Promotion = Literal["automatic", "dry run", "ask"]
# In ``[promotion]``: what holds for the models that it does not name.
DEFAULT = "default"


class Customer(Declared):
    """One customer as its TOML declares it."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
    vertical: Text
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
    time_zone: Annotated[str, AfterValidator(known_zone)]
    base: Annotated[str, AfterValidator(_absolute)] | None = None
    not_a_user: NotUsers = Field((), description="Ids that stand for nobody, such as 0 or GUEST.")
    archive: bool = Field(False, description="Its data are of the past and none will come: their age is no risk.")
    tables: dict[str, TableSource] = Field(min_length=1)
    only_models: tuple[str, ...] = Field((), description="The models that the customer has; all, where none is named.")
    models: dict[str, dict[str, Any]] = Field(default_factory=dict)
    promotion: dict[str, Promotion] = Field(
        default_factory=dict, description="Who promotes a challenger of each model; ``default`` for the others."
    )
    features: dict[str, dict[str, Any]] = Field(default_factory=dict)
    retraining: Retraining = Field(default_factory=Retraining)
    sharing: Sharing = Field(default_factory=Sharing)
    checks: dict[str, CheckSettings] = Field(default_factory=dict)
    delivery: Deliveries = ()
    contact: ContactSettings = ContactSettings()
    onboarding: OnboardingSettings = Field(default_factory=OnboardingSettings)
    night: NightSettings | None = Field(None, description="When its night is; without it, nothing starts by itself.")
    serving: ServingSettings = Field(default_factory=lambda: ServingSettings.model_validate({}))

    @field_validator("only_models", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    def has_model(self, name: str) -> bool:
        """Whether the customer is to have a model: it trains and answers for no other."""
        return not self.only_models or name in self.only_models

    def promotion_of(self, model: str) -> Promotion:
        """Who promotes a challenger of the model: its evidence, nobody (a dry run), or a person."""
        return self.promotion.get(model, self.promotion.get(DEFAULT, "automatic"))

    def location(self, table: str) -> str:
        """Where a declared table lies: an absolute path, folder or glob, or an ``s3://`` address.

        Of a table with a query, where its inputs lie, in words: ``origins`` names them one by one.

        Raises:
            SourceError: the package that holds the files is not installed, or there is no base for a relative path.
        """
        declared = self.tables[table]
        return described(declared.inputs, self.located) if declared.inputs else self.located(declared.location)

    def origins(self) -> list[Origin]:
        """All that this customer's tables read: the source of each, or those of its query's inputs."""
        return list(origins(self.tables))

    def located(self, location: str) -> str:
        """A declared location as an absolute path, folder or glob, or an address.

        Raises:
            SourceError: as ``location``.
        """
        if location.startswith(PACKAGE):
            return _in_package(location)
        of_file = SQLITE.match(location)
        scheme, path = (of_file[0], location[of_file.end() :]) if of_file else ("", location)
        if (not of_file and "://" in location) or Path(path).is_absolute() or not path:
            return location
        if self.base is None:
            do = "set base in the TOML"
            raise SourceError("A relative location has no folder to start from", where=location, do=do)
        return f"{scheme}{self.base.rstrip('/')}/{path}"


def read_customer(
    path: Path,
    known_tables: Mapping[str, Table],
    known_sources: Mapping[str, Source],
    known_models: Collection[str] | None = None,
    known_checks: Mapping[str, DeclaredCheck] | None = None,
    known_features: Mapping[str, type[BaseModel]] | None = None,
    known_params: Mapping[str, type[BaseModel]] | None = None,
) -> Customer:
    """The customer of a TOML file; relative locations start from ``base``, or from the file's folder.

    Raises:
        CustomerError: names every problem of the file: key, rule, what came, what to do.
    """
    file = str(path)
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            received, expected = f"{size:,} bytes", f"a TOML file of at most {MOST_BYTES:,} bytes"
            raise CustomerError(
                "The file is too large for a customer's TOML", expected=expected, came=received, where=file
            )
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise CustomerError("The file cannot be read", came=error.strerror or str(error), where=file) from error
    except UnicodeDecodeError as error:
        received, do = f"byte 0x{error.object[error.start]:02x} at place {error.start}", "save it as UTF-8"
        raise CustomerError(
            "The file is not UTF-8", expected="TOML in UTF-8", came=received, where=file, do=do
        ) from error
    known = (known_tables, known_sources, known_models, known_checks, known_features, known_params)
    customer = parse_customer(text, file, *known)
    return customer if customer.base else customer.model_copy(update={"base": str(path.resolve().parent)})


def parse_customer(
    text: str,
    file: str,
    known_tables: Mapping[str, Table],
    known_sources: Mapping[str, Source],
    known_models: Collection[str] | None = None,
    known_checks: Mapping[str, DeclaredCheck] | None = None,
    known_features: Mapping[str, type[BaseModel]] | None = None,
    known_params: Mapping[str, type[BaseModel]] | None = None,
) -> Customer:
    """The customer that a TOML text declares; ``file`` names it in errors. What is not ``known`` is not looked at.

    With ``known_params``, of models, it is asked what only a TOML that comes in is asked (``onboarding_problems``).

    Raises:
        CustomerError: names every problem of the text.
    """
    data = toml_text.parsed(text, file)
    problems: list[CapflowError] = []
    customer: Customer | None = None
    try:
        customer = Customer.model_validate(data)
    except ValidationError as error:
        problems += validation_problems(
            error,
            "",
            [*Customer.model_fields, *TableSource.model_fields, *Retraining.model_fields, *Sharing.model_fields],
        )
    for name, table in _tables(data.get("tables")).items():
        problems += _table_problems(name, table, known_tables, known_sources)
    problems += problems_between(_tables(data.get("tables")), known_tables)
    problems += user_problems(_tables(data.get("tables")))
    strange = [m for m in _tables(data.get("models")) if known_models is not None and m not in known_models]
    problems += [unknown(f"models.{model}", "model", model, known_models or ()) for model in strange]
    if customer is not None and known_models is not None:
        listed = {f"only_models[{place}]": name for place, name in enumerate(customer.only_models)}
        listed |= {f"promotion.{name}": name for name in customer.promotion if name != DEFAULT}
        problems += [
            unknown(key, "model", name, known_models) for key, name in listed.items() if name not in known_models
        ]
    if known_features is not None:
        kind = "feature table that can be set"
        problems += param_problems("features", kind, _tables(data.get("features")), known_features)
    if known_params is not None:
        problems += onboarding_problems(data, known_params)
    if customer is not None and known_checks is not None:
        problems += check_problems(customer.checks, known_checks)
    if problems or customer is None:
        raise CustomerError.listing(file, problems)
    return customer


def onboarded_text(text: str, base: str) -> str:
    """The same TOML, comments and all, with ``base`` filled in where it is not given.

    >>> print(onboarded_text('name = "boots"  # ours\\n\\n[tables.bills]\\nsource = "csv"\\n', "/data"), end="")
    name = "boots"  # ours
    base = "/data"
    <BLANKLINE>
    [tables.bills]
    source = "csv"
    """
    import tomlkit

    document = tomlkit.parse(text.removeprefix("\ufeff"))
    if "base" not in document:
        document.add("base", tomlkit.item(base))
    return tomlkit.dumps(document)


def _in_package(location: str) -> str:
    """The file in an installed package, whose code is not imported."""
    module, _, path = location.removeprefix(PACKAGE).partition("/")
    spec = find_spec(module) if module.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        do = f"install the package that holds {module}"
        raise SourceError("A package with data is not installed", expected=module, where=location, do=do)
    return str(Path(spec.submodule_search_locations[0], path))


def _tables(value: Any) -> dict[str, dict[str, Any]]:
    """The tables in a part of the data; what is none of them has its problem told already."""
    return {name: table for name, table in value.items() if isinstance(table, dict)} if isinstance(value, dict) else {}


def _table_problems(
    name: str, table: dict[str, Any], tables: Mapping[str, Table], sources: Mapping[str, Source]
) -> list[CapflowError]:
    key = f"tables.{name}"
    problems: list[CapflowError] = []
    if name not in tables:
        problems.append(unknown(key, "raw table", name, tables))
    elif isinstance(table.get("columns"), dict):
        problems += column_problems(f"{key}.columns", tables[name], table)
    source = table.get("source")
    problems += source_problems(key, table, sources)
    problems += query_problems(key, table, sources)
    if name in tables and isinstance(table.get("columns"), dict):
        problems += landing_problems(key, tables[name], table) + exports.problems(key, table, sources.get(str(source)))
    return problems
