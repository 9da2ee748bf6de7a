"""The way into a MongoDB server: its address, its client, and what its complaints mean."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from capflow_assets.errors import SourceError
from capflow_assets.paths import fence

if TYPE_CHECKING:
    from pymongo import MongoClient

    from capflow_assets.sources.mongodb.options import Options

WAIT_SECONDS = 15
REFUSED = {13: "the user may not read it", 18: "the user or the password is wrong", 8000: "the login was refused"}
_ADDRESS = re.compile(r"(mongodb(?:\+srv)?)://([\w.:,\[\]-]+)/([^/?#.$@ \"]+)/([^/?#$@]+)")


@dataclass(frozen=True, slots=True)
class Place:
    """Which collection a location means."""

    hosts: str
    database: str
    collection: str


def place_of(location: str) -> Place:
    """The collection of a location.

    Raises:
        SourceError: it names none, or holds credentials.
    """
    match = _ADDRESS.fullmatch(location)
    if match is None:
        raise SourceError(
            "A location is no MongoDB collection",
            expected="mongodb://host:port/database/collection or mongodb+srv://host/database/collection",
            came="one with a user or a password in it" if "@" in location else location,
            do='give user and password as options: password = { env = "NAME" }',
        )
    scheme, hosts, database, collection = match.groups()
    return Place(f"{scheme}://{hosts}", database, collection)


@contextmanager
def connected(location: str, options: Options) -> Iterator[MongoClient[dict[str, Any]]]:
    """A client of the location's server, for as long as the context lasts."""
    from pymongo import MongoClient

    settings: dict[str, Any] = {"readPreference": options.read_preference}
    if options.user is not None:
        user = options.user if isinstance(options.user, str) else options.user.value()
        settings |= {"username": user, "authSource": options.auth_source}
        settings |= {"password": options.password.value()} if options.password else {}
    settings |= {"tls": options.tls} if options.tls is not None else {}
    settings |= {"tlsCAFile": fence.certificate(options.tls_ca_file)} if options.tls_ca_file else {}
    settings |= {"replicaSet": options.replica_set} if options.replica_set else {}
    wait = WAIT_SECONDS * 1000
    client: MongoClient[dict[str, Any]] = MongoClient(
        place_of(location).hosts, serverSelectionTimeoutMS=wait, connectTimeoutMS=wait, appname="capflow", **settings
    )
    with client:
        yield client


@contextmanager
def reported(location: str) -> Iterator[None]:
    """What the driver says, as a person reads it; its messages hold no credentials."""
    from pymongo import errors

    try:
        yield
    except errors.OperationFailure as error:
        why = REFUSED.get(error.code or 0, "")
        do = "check user, password and auth_source in the options, and what the user may read" if why else ""
        received = "; ".join(part for part in (why, _first_line(error)) if part)
        raise SourceError("MongoDB refuses to read a collection", came=received, where=location, do=do) from error
    except (errors.PyMongoError, ValueError) as error:
        do = "check the host and port, tls in the options, and that this machine may reach it"
        raise SourceError("MongoDB is not reached", came=_first_line(error), where=location, do=do) from error


def _first_line(error: Exception) -> str:
    line = str(error).strip().split("\n")[0].partition(", full error:")[0]
    return line.partition(", Timeout:")[0].partition(" (configured timeouts")[0][:300]
