"""Online answers: what `capflow serve` looks subjects up in can be read, and holds."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from capflow_assets.customers.customer import Customer
from capflow_assets.doctor.case import Case, Checks, broken, ok, skipped, warning
from capflow_assets.errors import CapflowError, StoreError
from capflow_assets.serving.ladder import Lifetime, moment_of
from capflow_assets.serving.tokens import is_served
from capflow_assets.stores.answer_store import ANSWERS, AnswerStore, looked_up, opened
from capflow_assets.stores.answer_stores import answers_of


def store(case: Case) -> Checks:
    """Each served customer's answers are there, can be read and have not expired."""
    served = [name for name in case.customers if is_served(case.home, name)]
    if not served:
        yield skipped("no customer has a token: capflow serve token CUSTOMER")
    for name in served:
        try:
            yield from _of_customer(case, case.deployment.customer(name))
        except StoreError as error:
            do = "see [serving.store] in capflow.toml, and the server; until then the ladder answers"
            yield broken(f"{name}: the store of answers cannot be looked into: {error.what}", do)
        except CapflowError:
            yield warning(f"{name}: its TOML cannot be read: see configuration.customers", "mend the TOML")


def _of_customer(case: Case, customer: Customer) -> Checks:
    kept, local = answers_of(case.home, customer.name), AnswerStore.of(case.home, customer.name)
    tables = {name: table for name, table in kept.tables().items() if name.startswith(ANSWERS)}
    if not tables:
        do = f"start capflow serve, which publishes what the lake has; or run it: capflow run {customer.name}"
        yield warning(f"{customer.name}: no answers are published", do)
        return
    life, expired = Lifetime(case.now(), customer.serving.valid_hours), []
    for name, table in tables.items():
        try:
            if isinstance(kept, AnswerStore):
                with closing(opened(local.path(table))) as database:
                    looked_up(database, "")
        except sqlite3.Error as error:
            if "locked" in str(error):
                do = "try again when capflow forget has ended; else see which process holds the file"
                yield warning(f"{customer.name}: {name} is being erased from", do)
                return
            do = f"remove {local.folder}; capflow serve makes it again of the lake"
            yield broken(f"{customer.name}: {name} cannot be read: {error}", do)
            return
        if life.of(moment_of(table.facts))["expired"]:
            expired.append(name.removeprefix(ANSWERS))
    if expired:
        yield warning(
            f"{customer.name}: answers older than {customer.serving.valid_hours:g} h are marked: {', '.join(expired)}",
            f"see why no night has scored: capflow status --customer {customer.name}; or set [serving] valid_hours",
        )
    else:
        yield ok(f"{customer.name}: {len(tables)} models answer")


CHECKS = (store,)
