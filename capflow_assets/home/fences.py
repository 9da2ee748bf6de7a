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
import tomllib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any

from capflow_assets.customers.customer import PACKAGE, SQLITE, Customer
from capflow_assets.customers.table_inputs import declared_origins
from capflow_assets.errors import CapflowError, CustomerError, SourceError, listed
from capflow_assets.home.operator import CUSTOMER, FILE, VARIABLE, settings
from capflow_assets.home.places import Home
from capflow_assets.paths.fence import S3, Fence, Place, fixed_part, is_below, spellings

# What the platform itself is told by variables, in the names that it and its libraries give them.
PLATFORM = (
    "CAPFLOW_", "DAGSTER_", "MLFLOW_", "AWS_", "PG", "DATABRICKS_", "KUBERNETES_", "AZURE_", "GOOGLE_", "GCP_",
    "SPARK_", "SAIL_", "PYTHON", "LD_", "SSH_",
)  # fmt: skip
SHELL = frozenset({"HOME", "PATH", "PWD", "USER", "LOGNAME", "SHELL", "HOSTNAME", "LANG", "TMPDIR", "VIRTUAL_ENV"})
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
    others = dict(_declared(home, customer.name, elder_than=customer.name if elders else None))
    base = os.path.realpath(customer.base or "/")
    places = (place for other in others.values() for place in (*_locations(other), *_own_folders(other, base)))
    theirs = [real_parts(place) for place in places if not _shared(place, chosen.roots)]
    limits = fence_of(home, customer)
    for origin in customer.origins():
        try:
            location = customer.located(origin.location)
        except SourceError:  # told when the table is read
            continue
        if origin.location.startswith(PACKAGE):
            continue
        plain = _plain(location)
        reads = [real_parts(each) for each in (spellings(plain) if plain.startswith(S3) else [plain])]
        if _is_outside_roots(limits, plain):
            expected = f"files below {listed(limits.roots)}"
            do = f"export them there, or have their folder named in [sources] roots of {home.settings}"
            problems.append(CapflowError(f"{origin.key}.location", expected=expected, came=location, do=do))
        elif any(overlap(read, place) for place in theirs for read in reads):
            expected = "files that no other customer's TOML names, outside of the folder of its files"
            do = f"name this customer's own; what several may read is named in [sources] roots of {home.settings}"
            problems.append(CapflowError(f"{origin.key}.location", expected=expected, came=location, do=do))
    problems += refused_variables(customer, chosen.secrets, others)
    if problems:
        raise CustomerError.listing(str(file), problems)


def _is_outside_roots(limits: Fence, location: str) -> bool:
    is_of_files = location.startswith((S3, "/"))
    return bool(limits.roots) and is_of_files and not limits.is_within(_resolved(location), location)


def refuse_variables(home: Home, customer: Customer) -> None:
    """Refuse a customer that names variables that are the platform's, or those of a customer that was here before.

    Raises:
        CustomerError: names every one.
    """
    others = dict(_declared(home, customer.name, elder_than=customer.name))
    problems = refused_variables(customer, settings(home).sources.secrets, others)
    if problems:
        raise CustomerError.listing(str(home.customers / f"{customer.name}.toml"), problems)


def refused_variables(customer: Customer, allowed: tuple[str, ...], others: Mapping[str, Any]) -> list[CapflowError]:
    """What is wrong with the variables that a customer names as secrets; ``others`` are other customers' TOMLs."""
    problems = []
    for origin in customer.origins():
        for name in named_variables(origin.options):
            why = _why_not(name, customer.name, allowed, others)
            if why:
                key, do = f"{origin.key}.options", f"name a variable of {customer.name}'s own; [sources] secrets"
                problems.append(CapflowError(key, expected=why, came=name, do=f"{do} in capflow.toml says which"))
    return problems


def _why_not(name: str, customer: str, allowed: tuple[str, ...], others: Mapping[str, Any]) -> str:
    if name in SHELL or name.startswith(PLATFORM):
        return "a variable of the customer's, not one of the platform's own"
    if not allowed:
        theirs = {each for other in others.values() for each in _variables_of(other)}
        return "a variable that no other customer's TOML names" if name in theirs else ""
    fitting = [pattern for pattern in allowed if fnmatchcase(name, _of(pattern, customer))]
    if not fitting:
        return f"one of {', '.join(_of(pattern, customer) for pattern in allowed)}"
    if any(VARIABLE not in pattern for pattern in fitting):
        return ""
    # acme_* fits ACME_EU_PASSWORD, which is that of acme_eu.
    longest = max(len(_of(pattern, customer)) for pattern in fitting)
    closer = (_of(pattern, other) for other in others for pattern in allowed if VARIABLE in pattern)
    is_others = any(len(each) > longest and fnmatchcase(name, each) for each in closer)
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
    for _, other in _declared(home, customer.name, elder_than=customer.name):
        own = _own_folders(other, os.path.realpath(customer.base or "/"))
        for location in (*_locations(other), *own):
            if _shared(location, roots):
                continue
            plain = min(spellings(location)) if location.startswith(S3) else location
            fixed = fixed_part(plain) if not plain.startswith(S3) else S3 + fixed_part(plain.removeprefix(S3))
            yield Place(_resolved(fixed), plain.removeprefix(fixed).lstrip("/"))


def real_parts(place: str) -> tuple[str, ...]:
    """The parts of a place, links resolved."""
    return PurePosixPath(place if "://" in place else Path(place).resolve()).parts


def overlap(read: tuple[str, ...], kept: tuple[str, ...]) -> bool:
    """Whether two places are one or hold one another, as far as their patterns tell."""
    both = zip(kept, read, strict=False)
    return all(part == also or fnmatchcase(part, also) or fnmatchcase(also, part) for part, also in both)


def _shared(location: str, roots: tuple[str, ...]) -> bool:
    """Whether the deployment says that customers share what lies there."""
    return any(is_below(_resolved(location), _resolved(root)) for root in roots if CUSTOMER not in root)


def _declared(home: Home, customer: str, elder_than: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """The TOMLs of other customers by name; of those alone that were here before one, where it is named."""
    files = {file.stem: file for file in home.customers.glob("*.toml")}
    stats = {name: file.stat() for name, file in files.items() if file.exists()}
    age = {name: (each.st_mtime_ns, name) for name, each in stats.items()}
    for name in sorted(age):
        is_elder = elder_than is None or elder_than not in age or age[name] < age[elder_than]
        if name != customer and is_elder:
            # One that is replaced keeps its age, so that does not tell whether it has changed.
            declared = _parsed(str(files[name]), stats[name].st_ctime_ns, stats[name].st_ino)
            if declared.get("name") == name:  # else it is a copy that somebody kept, and no customer's
                yield name, declared


@lru_cache(maxsize=10_000)
def _parsed(file: str, _changed: int, _node: int) -> dict[str, Any]:
    """A TOML as it was when written; nothing of one that cannot be read, which is told where that customer is run."""
    try:
        return tomllib.loads(Path(file).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return {}


def _sources(declared: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    tables = declared.get("tables")
    for each in tables.values() if isinstance(tables, dict) else ():
        yield from declared_origins(each) if isinstance(each, dict) else ()


def _variables_of(declared: Mapping[str, Any]) -> Iterator[str]:
    for source in _sources(declared):
        yield from named_variables(source.get("options"))


def _locations(declared: Mapping[str, Any]) -> Iterator[str]:
    """Where a TOML's files lie: absolute paths, folders or patterns, and ``s3://`` addresses."""
    base = declared.get("base")
    for source in _sources(declared):
        location = source.get("location")
        if not isinstance(location, str) or location.startswith(PACKAGE):
            continue
        plain = _plain(location.strip())
        if "://" in plain and not plain.startswith(S3):
            continue
        if plain.startswith((S3, "/")):
            yield plain
        elif isinstance(base, str):
            yield f"{base.rstrip('/')}/{plain}"


def _own_folders(declared: Mapping[str, Any], base: str) -> list[str]:
    """The folder of those of a customer's files that lie where its TOML does; none if that of ``base`` lies there too.

    What else is in it may be that customer's as well: last year's export, or that of tomorrow.
    """
    lies = declared.get("base")
    if not isinstance(lies, str) or not lies.startswith("/"):
        return []
    files = [os.path.normpath(fixed_part(each)) for each in _locations(declared) if each.startswith("/")]
    folders = [os.path.dirname(each) for each in files if is_below(each, os.path.normpath(lies))]  # noqa: PTH120
    folder = os.path.commonpath(folders) if folders else "/"
    inside = is_below(folder, os.path.normpath(lies)) and folder != "/"
    return [folder] if inside and not is_below(base, os.path.realpath(folder)) else []


def _plain(location: str) -> str:
    """The path of a location, which for SQLite stands in an address."""
    return SQLITE.sub("", location)


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


def _of(pattern: str, customer: str) -> str:
    return pattern.replace(VARIABLE, customer.upper().replace("-", "_"))
