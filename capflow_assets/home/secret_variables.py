"""Which environment variables a customer's TOML may name as secrets: its own, and not the platform's or another's.

``[sources] secrets`` of ``capflow.toml`` says which are whose. Without it, a variable belongs to the customer whose
TOML named it first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from capflow_assets.customers.customer import Customer
from capflow_assets.errors import CapflowError, CustomerError
from capflow_assets.home.operator import VARIABLE, settings
from capflow_assets.home.other_tomls import other_tomls, sources_of
from capflow_assets.home.places import Home

# What the platform itself is told by variables, in the names that it and its libraries give them.
PLATFORM = (
    "CAPFLOW_", "DAGSTER_", "MLFLOW_", "AWS_", "PG", "DATABRICKS_", "KUBERNETES_", "AZURE_", "GOOGLE_", "GCP_",
    "SPARK_", "SAIL_", "PYTHON", "LD_", "SSH_",
)  # fmt: skip
SHELL = frozenset({"HOME", "PATH", "PWD", "USER", "LOGNAME", "SHELL", "HOSTNAME", "LANG", "TMPDIR", "VIRTUAL_ENV"})


def refuse_variables(home: Home, customer: Customer) -> None:
    """Refuse a customer that names variables that are the platform's, or those of a customer that was here before.

    Raises:
        CustomerError: names every one.
    """
    others = dict(other_tomls(home, customer.name, elder_than=customer.name))
    problems = refused_variables(customer, settings(home).sources.secrets, others)
    if problems:
        raise CustomerError.listing(str(home.customers / f"{customer.name}.toml"), problems)


def refused_variables(customer: Customer, allowed: tuple[str, ...], others: Mapping[str, Any]) -> list[CapflowError]:
    """What is wrong with the variables that a customer names as secrets; ``others`` are other customers' TOMLs."""
    problems = []
    declared = [(f"{origin.key}.options", origin.options) for origin in customer.origins()]
    declared += [(f"delivery.{delivery.name}.options", delivery.options) for delivery in customer.delivery]
    for key, options in declared:
        for name in named_variables(options):
            why = _why_not(name, customer.name, allowed, others)
            if why:
                do = f"name a variable of {customer.name}'s own; [sources] secrets"
                problems.append(CapflowError(key, expected=why, came=name, do=f"{do} in capflow.toml says which"))
    return problems


def _why_not(name: str, customer: str, allowed: tuple[str, ...], others: Mapping[str, Any]) -> str:
    if name in SHELL or name.startswith(PLATFORM):
        return "a variable of the customer's, not one of the platform's own"
    if not allowed:
        theirs = {variable for other in others.values() for variable in _variables_of(other)}
        return "a variable that no other customer's TOML names" if name in theirs else ""
    fitting = [pattern for pattern in allowed if fnmatchcase(name, _of(pattern, customer))]
    if not fitting:
        return f"one of {', '.join(_of(pattern, customer) for pattern in allowed)}"
    if any(VARIABLE not in pattern for pattern in fitting):
        return ""
    # acme_* fits ACME_EU_PASSWORD, which is that of acme_eu.
    longest = max(len(_of(pattern, customer)) for pattern in fitting)
    closer = (_of(pattern, other) for other in others for pattern in allowed if VARIABLE in pattern)
    is_others = any(len(pattern) > longest and fnmatchcase(name, pattern) for pattern in closer)
    return "a variable of this customer's, whose name is not that of another's" if is_others else ""


def named_variables(options: Any) -> Iterator[str]:
    """The variables in options: ``{ env = "NAME" }``, however deep.

    >>> list(named_variables({"user": "ann", "password": {"env": "PASSWORD"}, "more": [{"env": "OTHER"}]}))
    ['PASSWORD', 'OTHER']
    """
    if isinstance(options, Mapping):
        if set(options) == {"env"} and isinstance(options["env"], str):
            yield options["env"]
        else:
            for value in options.values():
                yield from named_variables(value)
    elif isinstance(options, list | tuple):
        for value in options:
            yield from named_variables(value)


def _variables_of(declared: Mapping[str, Any]) -> Iterator[str]:
    for source in sources_of(declared):
        yield from named_variables(source.get("options"))
    deliveries = declared.get("delivery")
    for delivery in deliveries if isinstance(deliveries, list) else ():
        yield from named_variables(delivery.get("options") if isinstance(delivery, dict) else None)


def _of(pattern: str, customer: str) -> str:
    return pattern.replace(VARIABLE, customer.upper().replace("-", "_"))
