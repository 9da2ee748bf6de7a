"""A table that is made of several inputs by a query, as a customer's TOML declares it; and where all inputs lie. Pure.

[tables.bills]
query = "select o.id, o.at, sum(p.paid) as paid from orders o join payments p on p.order_id = o.id group by 1, 2"
columns = { bill_id = "id", billed_at = "at", amount = "paid" }
inputs.orders = { source = "csv", location = "orders.csv" }
inputs.payments = { source = "csv", location = "payments.csv" }
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from capflow_assets.contract import ChecksLocations, Source
from capflow_assets.customers.toml_problems import unknown, validation_problems
from capflow_assets.errors import CapflowError, SourceError, listed

# What stands for source and location of a table that has a query instead.
QUERY = "query"
PACKAGE = "package://"
FILES = ("s3://", PACKAGE)
NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
MOST_INPUTS = 32
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Declared(BaseModel):
    """A part of the TOML: unknown keys are errors, and nothing is converted."""

    model_config = ConfigDict(extra="forbid", defer_build=True, frozen=True, strict=True)


class InputSource(Declared):
    """Where the rows of one input of a query come from."""

    source: Text = Field(description="The kind of store: the name of a file in sources/.")
    location: Annotated[Text, Field(max_length=4096)] = Field(description="A file, folder, glob, or a store's address.")
    options: dict[str, Any] = Field(default_factory=dict, description="How the store is written; its Options.")


@dataclass(frozen=True, slots=True)
class Origin:
    """Something that a customer's table reads: its key in the TOML, of which table, and what is declared of it."""

    key: str
    table: str
    source: str
    location: str
    options: Mapping[str, Any]

    @property
    def shown(self) -> str:
        """The table, and its input if it is one of several: ``bills``, ``bills.inputs.orders``."""
        return self.key.removeprefix("tables.")


def origins(tables: Mapping[str, Any]) -> Iterator[Origin]:
    """All that the tables read: the source of each, or those of its inputs."""
    for name, table in tables.items():
        if not table.inputs:
            yield Origin(f"tables.{name}", name, table.source, table.location, table.options)
        for input_name, declared in table.inputs.items():
            key = f"tables.{name}.inputs.{input_name}"
            yield Origin(key, name, declared.source, declared.location, declared.options)


def filled(table: Any) -> Any:
    """The data of a table, with words for source and location where it has a query instead."""
    if isinstance(table, dict) and QUERY in table and not {"source", "location"} & set(table):
        return table | {"source": QUERY, "location": QUERY}
    return table


def declared_origins(table: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The parts of a TOML's table, read but not checked, that may name a source: itself, and its inputs."""
    yield table
    inputs = table.get("inputs")
    yield from (
        declared for declared in (inputs.values() if isinstance(inputs, dict) else ()) if isinstance(declared, dict)
    )


def query_problems(key: str, table: Mapping[str, Any], sources: Mapping[str, Source]) -> list[CapflowError]:
    """What is wrong with a table's query and inputs, but for the query's own words; wrong types are told already."""
    inputs, query = table.get("inputs", {}), table.get(QUERY)
    if query is None:
        do = "write query, which says how the table is made of them, or take them out"
        return [CapflowError(f"{key}.inputs", expected="a query beside them", came="none", do=do)] if inputs else []
    problems = []
    for name in ("source", "location", "options", "watermark", "merge_on"):
        if name in table:
            why = "is read as a whole at every landing" if name in ("watermark", "merge_on") else "has inputs instead"
            expected = f"nothing: a table with a query {why}"
            problems.append(CapflowError(f"{key}.{name}", expected=expected, came=name, do="take it out"))
    if not isinstance(inputs, dict):
        return problems
    if not 0 < len(inputs) <= MOST_INPUTS:
        expected, do = f"1 to {MOST_INPUTS} inputs", f"write [{key}.inputs.NAME] with source and location for each"
        problems.append(CapflowError(f"{key}.inputs", expected=expected, came=f"{len(inputs)}", do=do))
    for name, declared in inputs.items():
        place = f"{key}.inputs.{name}"
        if not NAME.fullmatch(name):
            expected = f"a name such as orders ({NAME.pattern})"
            problems.append(CapflowError(place, expected=expected, came=repr(name[:64]), do="choose another name"))
        if isinstance(declared, dict):
            problems += source_problems(place, declared, sources)
    return problems


def source_problems(key: str, declared: Mapping[str, Any], sources: Mapping[str, Source]) -> list[CapflowError]:
    """What is wrong with a declared source: of which kind, its options, its location."""
    problems: list[CapflowError] = []
    source, location = declared.get("source"), declared.get("location")
    if not isinstance(source, str):
        return problems
    if source not in sources:
        return [unknown(f"{key}.source", "source", source, sources)]
    options = declared.get("options", {})
    if isinstance(options, dict):
        try:
            sources[source].Options.model_validate(options)
        except ValidationError as error:
            problems += validation_problems(error, f"{key}.options", list(sources[source].Options.model_fields))
    if isinstance(location, str):
        problems += _location_problems(f"{key}.location", sources[source], location.strip())
    return problems


def _location_problems(key: str, source: Source, location: str) -> list[CapflowError]:
    """What is wrong with a location, as the source says where it has ``check_location``. Credentials are not shown."""
    scheme, is_address, rest = location.partition("://")
    is_of_files = f"{scheme}://" in FILES
    if is_address and "@" in (rest.partition("/")[0] if is_of_files else rest):
        do = 'name the variables that hold them in the options: user = "…", password = { env = "NAME" }'
        received = f"{scheme}://(not shown)@{rest.rpartition('@')[2]}"
        return [CapflowError(key, expected="a location without credentials", came=received, do=do)]
    expected = ""
    if is_of_files and (".." in rest.split("/") or not re.fullmatch(r"[^/]+/.+", rest)):
        expected = f"{scheme}://name/path, without '..'"
    elif isinstance(source, ChecksLocations):
        try:
            source.check_location(location)
        except (SourceError, ValueError) as error:
            return [CapflowError(key, expected=str(error).replace("\n", " "), came=location)]
    elif is_address and not is_of_files:
        expected = "a path, s3://bucket/key or package://module/path"
    return [CapflowError(key, expected=expected, came=repr(location))] if expected else []


def described(inputs: Mapping[str, InputSource], located: Callable[[str], str]) -> str:
    """Where the inputs of a query lie, in words; never the place of a file."""
    return listed(f"{name}: {_located(declared.location, located)}" for name, declared in inputs.items())


def _located(location: str, located: Callable[[str], str]) -> str:
    try:
        return located(location)
    except SourceError:  # told when it is read
        return location
