"""What each customer may read, as the deployment says: the fence that landing opens its sources within.

``{home}/capflow.toml`` (or what ``CAPFLOW_SETTINGS`` names) gives the roots, and the variables that may be named as
secrets; both by the customer's name:

    [sources]
    roots = ["/exports/{customer}", "s3://exports/{customer}", "/exports/shared"]
    secrets = ["{CUSTOMER}_*", "SHARED_DATABASE_*"]

Without roots, a customer reads below the folders that its own TOML names: the folder that the TOML was onboarded from,
and that of each location. Whatever the roots say, nobody reads what CapFlow keeps (the home, the lake, the deployment's
databases), what another customer's TOML names, or what else lies in the folder of files that another customer's TOML
names from where it lies; where two name the same, it belongs to who was here first. A root or a secret without the
customer's name in it is shared: there it does not matter who was first.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from capflow_assets.customers.customer import PACKAGE, SQLITE, Customer
from capflow_assets.customers.own_places import overlap, real_parts
from capflow_assets.errors import CapflowError, CustomerError, SourceError, listed
from capflow_assets.home.operator import CUSTOMER, FILE, settings
from capflow_assets.home.other_tomls import file_path, folders_of_files, locations_of, other_tomls
from capflow_assets.home.places import Home
from capflow_assets.home.secret_variables import refused_variables
from capflow_assets.paths.fence import S3, Fence, Place, fixed_part, is_below, spellings

# Below the home, these are the platform's, whatever else is there.
KEPT = ("customers", "keys", "dagster", "lake", "fleet", "receipts", "locks", "truth", FILE)
# MLflow's address may also be that of a server of its own.
IS_DATABASE = re.compile(r"(?!https?:|file:|s3:)[\w+.-]+://")


def fence_of(home: Home, customer: Customer) -> Fence:
    """What a customer may open now.

    Raises:
        CapflowError: the deployment's settings cannot be read.
    """
    roots = settings(home).sources.roots
    return Fence(
        roots=[_resolved(root.replace(CUSTOMER, customer.name)) for root in roots],
        base=_own_folder(home, customer),
        kept=kept_by(home, customer),
        theirs=list(_others_places(home, customer, roots)),
        databases=[_without_login(url) for url in (home.postgres_url, home.mlflow_uri) if IS_DATABASE.match(url)],
        free=list(_packages(customer)),
    )


def refuse(home: Home, customer: Customer, file: Path, elders: bool = False) -> None:
    """Refuse a customer whose TOML names another's places, or variables that are not its own, before it comes in.

    Of one that is in the home already, only ``elders`` are asked.

    Raises:
        CustomerError: names every table that does.
    """
    chosen = settings(home).sources
    problems: list[CapflowError] = []
    others = dict(other_tomls(home, customer.name, elder_than=customer.name if elders else None))
    base = os.path.realpath(customer.base or "/")
    own = [fixed_part(place) for place in locations_of(dict(other_tomls(home, "", None)).get(customer.name, {}))]
    theirs = [
        (name, place, real_parts(place))
        for name, other in others.items()
        for place in (*locations_of(other), *_folders_apart(other, base, own))
        if not _shared(place, chosen.roots)
    ]
    limits = fence_of(home, customer)
    for origin in customer.origins():
        try:
            location = customer.located(origin.location)
        except SourceError:  # told when the table is read
            continue
        if origin.location.startswith(PACKAGE):
            continue
        plain = file_path(location)
        reads = [real_parts(spelling) for spelling in (spellings(plain) if plain.startswith(S3) else [plain])]
        if _is_outside_roots(limits, plain):
            expected = f"files below {listed(limits.roots)}"
            do = f"export them there, or have their folder named in [sources] roots of {home.settings}"
            problems.append(CapflowError(f"{origin.key}.location", expected=expected, came=location, do=do))
        elif owned := next(
            ((name, place) for name, place, parts in theirs if any(overlap(read, parts) for read in reads)), None
        ):
            expected = "files that no other customer's TOML names, outside of the folder of its files"
            received = f"{location}; {owned[1]} is of {owned[0]}"
            do = f"name this customer's own; what several may read is named in [sources] roots of {home.settings}"
            problems.append(CapflowError(f"{origin.key}.location", expected=expected, came=received, do=do))
    problems += refused_variables(customer, chosen.secrets, others)
    if problems:
        raise CustomerError.listing(str(file), problems)


def _folders_apart(other: dict[str, Any], base: str, own: list[str]) -> list[str]:
    """The folders of another customer's files, but for one in which this customer's ``own`` files lie already."""
    return [folder for folder in folders_of_files(other, base) if not any(is_below(place, folder) for place in own)]


def _is_outside_roots(limits: Fence, location: str) -> bool:
    is_of_files = location.startswith((S3, "/"))
    return bool(limits.roots) and is_of_files and not limits.is_within(_resolved(location), location)


def kept_by(home: Home, customer: Customer) -> list[str]:
    """What nobody reads, by real path or address: the lake, the stores, the home but for a customer's own folder."""
    kept = [_resolved(place) for place in (home.lake, home.compute_logs, str(home.settings)) if place]
    stores = [url.partition(":///")[2] for url in (home.mlflow_uri, home.postgres_url) if SQLITE.match(url)]
    for store in (*stores, str(home.root / "mlflow.db")):
        kept += [os.path.realpath(store) + end for end in ("", "-wal", "-shm", "-journal")]
    own, root = _own_folder(home, customer, inside=True), os.path.realpath(home.root)
    if not own:
        return [*kept, root]
    names = {*KEPT, *(os.listdir(root) if os.path.isdir(root) else ())}  # noqa: PTH112, PTH208
    return kept + [f"{root}/{name}" for name in sorted(names) if name in KEPT or not is_below(own, f"{root}/{name}")]


def _own_folder(home: Home, customer: Customer, inside: bool = False) -> str:
    """The customer's folder; blank where the TOML names one that holds the home, the whole disk or a bucket.

    With ``inside`` also blank where it does not lie in the home.
    """
    if not customer.base or customer.base.startswith(S3):
        return ""
    base, root = os.path.realpath(customer.base), os.path.realpath(home.root)
    if base == "/" or is_below(root, base):
        return ""
    return "" if inside and not is_below(base, root) else base


def _packages(customer: Customer) -> Iterator[str]:
    """The folders of installed packages that a customer's tables come from: data for everybody."""
    for source in customer.origins():
        module, _, _ = source.location.removeprefix(PACKAGE).partition("/")
        if source.location.startswith(PACKAGE) and module.isidentifier():
            spec = find_spec(module)
            # A package without an origin is any folder that happens to lie where Python was started.
            if spec is not None and spec.origin and spec.submodule_search_locations:
                yield os.path.realpath(spec.submodule_search_locations[0])


def _others_places(home: Home, customer: Customer, roots: tuple[str, ...]) -> Iterator[Place]:
    for _, other in other_tomls(home, customer.name, elder_than=customer.name):
        own = folders_of_files(other, os.path.realpath(customer.base or "/"))
        for location in (*locations_of(other), *own):
            if _shared(location, roots):
                continue
            plain = min(spellings(location)) if location.startswith(S3) else location
            fixed = fixed_part(plain) if not plain.startswith(S3) else S3 + fixed_part(plain.removeprefix(S3))
            yield Place(_resolved(fixed), plain.removeprefix(fixed).lstrip("/"))


def _shared(location: str, roots: tuple[str, ...]) -> bool:
    """Whether the deployment says that customers share what lies there."""
    return any(is_below(_resolved(location), _resolved(root)) for root in roots if CUSTOMER not in root)


def _resolved(place: str) -> str:
    if place.startswith(S3):
        return min(spellings(place))
    fixed = fixed_part(place)
    return os.path.realpath(fixed) + place.removeprefix(fixed) if fixed != place else os.path.realpath(place)


def _without_login(url: str) -> str:
    """A database's address without its user's password; the user stays, after whom a database may be called."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(url)._replace(password=None).render_as_string()
    except (ArgumentError, ValueError):
        return ""
