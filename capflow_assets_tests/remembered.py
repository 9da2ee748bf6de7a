"""What Alembic and Typer make anew at every look at a database and for every command, made once a process.

A home is opened thousands of times in a round of tests, and each time the scripts of ninety migrations were executed to
learn which one is the newest. Every new home's MLflow then went through all of its migrations, a second of a fresh
home's sixteen. And of every command that a test gives, Typer read the signatures of all functions behind all commands,
a quarter of what the shortest of them take. None of it depends on what a test does. Processes that tests start do all
of it, as those of users do.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import typer.main
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

if TYPE_CHECKING:
    from sqlalchemy import Connection


@cache  # once a process
def remember() -> None:
    """From here on this process executes migrations' scripts, migrates a new file of MLflow and reads commands once."""
    _remember_scripts()
    _remember_migrated()
    typer.main.get_command = cache(typer.main.get_command)


def _remember_scripts() -> None:
    read = ScriptDirectory.from_config
    known: dict[tuple[str | None, str | None], ScriptDirectory] = {}

    def from_config(config: Config) -> ScriptDirectory:
        place = (config.get_main_option("script_location"), config.get_main_option("version_locations"))
        if place not in known:
            known[place] = read(config)
        return known[place]

    ScriptDirectory.from_config = from_config  # type: ignore[method-assign, assignment]


def _remember_migrated() -> None:
    """A new SQLite file of MLflow gets the tables and rows that all migrations made of the first one."""
    upgrade = command.upgrade
    known: dict[str | None, list[str]] = {}

    def upgraded(config: Config, revision: str, **more: Any) -> None:
        connection, place = config.attributes.get("connection"), config.get_main_option("script_location")
        if connection is None or revision != "heads" or more or not _is_new(connection):
            upgrade(config, revision, **more)
        elif place in known:
            _replace_tables(connection, known[place])
        else:
            upgrade(config, revision)
            # Without the first and the last statement, which begin and end a transaction.
            known[place] = list(connection.connection.driver_connection.iterdump())[1:-1]

    command.upgrade = upgraded


def _is_new(connection: Connection) -> bool:
    """Whether a database is a SQLite file of which no migration was run and no table has a row."""
    if connection.dialect.name != "sqlite":
        return False
    names = _tables(connection)
    is_empty = all(connection.exec_driver_sql(f'SELECT 1 FROM "{name}" LIMIT 1').first() is None for name in names)
    return is_empty and "alembic_version" not in names


def _replace_tables(connection: Connection, statements: list[str]) -> None:
    connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
    for name in _tables(connection):
        connection.exec_driver_sql(f'DROP TABLE "{name}"')
    for statement in statements:
        connection.exec_driver_sql(statement)


def _tables(connection: Connection) -> list[str]:
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    return [str(name) for (name,) in connection.exec_driver_sql(query)]
