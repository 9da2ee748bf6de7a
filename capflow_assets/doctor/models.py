"""The models of customers: where MLflow says their files are, whether they are whole, and who answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from capflow_assets.doctor.case import Case, Checks, broken, ok, skipped, warning
from capflow_assets.doctor.reach import silence
from capflow_assets.errors import BrokenModelError, CapflowError
from capflow_assets.life.scoring_version import damage_when_loaded, in_one_line, scoring_version
from capflow_assets.stores.model_addresses import Addresses
from capflow_assets.stores.registry import Registry
from capflow_assets.stores.saved_estimators import IsolatedLoader

MEND = "capflow doctor --mend"
# Of the time that a check has, this share goes to reading files; then it says how far it came.
READING_SHARE = 0.7
SHOWN = 5


def places(case: Case) -> Checks:
    """MLflow's addresses of model files lead into this home's lake, wherever it is."""
    if why := _unreachable(case):
        yield skipped(why)
        return
    addresses = Addresses(case.deployment.registry)
    absolute = [place for customer in case.customers for place in addresses.fixed(customer)]
    if not absolute:
        yield ok("every address is relative to the lake")
        return
    elsewhere = sorted({place.uri for place in absolute if place.is_elsewhere})
    mend = None if addresses.why_not() else _mender(addresses.make_relative, absolute)
    do = addresses.why_not() or MEND
    if elsewhere:
        words = f"MLflow's pages look for {len(elsewhere)} models elsewhere: {_some(elsewhere)}"
        why = "this home was copied or moved; its models are read from its own lake all the same, and only there"
        yield warning(f"{words}; {why}", do, mend)
    else:
        words = (
            f"{len(absolute)} addresses of a release before are absolute: MLflow's pages would not move with the lake"
        )
        yield warning(words, do, mend)


def digests(case: Case) -> Checks:
    """The digest of every version's files is kept, so that no other file is loaded in their place."""
    if why := _unreachable(case):
        yield skipped(why)
        return
    registry = case.deployment.registry
    bare = [
        (customer, name, version)
        for customer, name in _models(case)
        for version in registry.versions(customer, name)
        if not registry.has_digests(customer, name, version)
    ]
    if not bare:
        yield ok("every version has the digests of its files")
        return

    def mend() -> str:
        refused = []
        with IsolatedLoader() as loader:
            for customer, name, version in bare:
                if words := _try_and_keep(case, customer, name, version, loader):
                    refused.append(f"version {version} of {customer}.{name}: {words}")
        if refused:
            do = "train these models again; what cannot be loaded has no digest, and does not answer"
            kept = len(bare) - len(refused)
            raise CapflowError(f"{kept} digests kept, {len(refused)} refused", came=_some(refused), do=do)
        return f"{len(bare)} versions were loaded by the safe loader, and their digests kept"

    named = _some([f"{customer}.{name} {version}" for customer, name, version in bare])
    words = f"{len(bare)} versions of a release before have no digest: {named}"
    why = "they run no code when they are loaded, but whoever writes their files decides what they answer"
    yield warning(f"{words}; {why}", MEND, mend)


def _try_and_keep(case: Case, customer: str, name: str, version: int, loader: IsolatedLoader) -> str:
    """Keep the digests of a version; why not, where it cannot be loaded.

    They are kept first: then what is loaded on trial is what they are of, whoever writes there in the meantime.
    """
    registry = case.deployment.registry
    try:
        registry.keep_digests(customer, name, version)
    except BrokenModelError as error:
        return in_one_line(error)
    words = "the trial was broken off"
    try:
        words = damage_when_loaded(registry, customer, name, version, case.deployment.stages.model(name).model, loader)
    finally:
        if words:
            registry.drop_digests(customer, name, version)
    return words


def champions(case: Case) -> Checks:
    """Every champion's files are whole; who answers where they are not; decisions carried out."""
    if why := _unreachable(case):
        yield skipped(why)
        return
    registry, begun, whole = case.deployment.registry, time.monotonic(), 0
    every = list(_models(case))
    for looked, (customer, name) in enumerate(every):
        if time.monotonic() - begun > READING_SHARE * case.check_seconds:
            do = "ask for one customer at a time: capflow doctor --customer NAME"
            yield warning(f"looked at {looked} of {len(every)} models within the time of a check", do)
            break
        who = scoring_version(registry, customer, name, case.deployment.stages.model(name).model)
        if who.broken:
            what, _, do = who.warning.rpartition("; ")
            yield (broken if who.version is None else warning)(what, do)
        whole += who.version is not None and not who.broken
        if (record := registry.state(customer, name).unsettled) is not None:
            words = f"{record.words()} of {customer}.{name} was cut off"
            yield warning(
                f"{words}; it counts, and MLflow's alias does not say so yet", MEND, _settle(case, customer, name)
            )
    yield ok(f"{whole} champions can answer")


def _settle(case: Case, customer: str, name: str) -> Callable[[], str]:
    return lambda: case.deployment.registry.settle(customer, name) or "it was carried out meanwhile"


def _mender(make_relative: Callable[[list[Any]], int], versions: list[Any]) -> Callable[[], str]:
    return lambda: f"{make_relative(versions)} addresses are relative to the lake now; no file was touched"


def _models(case: Case) -> Iterator[tuple[str, str]]:
    """The models of the customers that the code still has."""
    registry: Registry = case.deployment.registry
    for customer in case.customers:
        for name in registry.models(customer):
            if name in case.deployment.stages.models:
                yield customer, name


def _unreachable(case: Case) -> str:
    """Why the models cannot be looked at; empty where they can."""
    uri = case.home.mlflow_uri
    file = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:///") and not file.exists():
        return "there is no model yet"
    if uri.startswith(("http://", "https://")) and silence(uri, case):
        return "MLflow does not answer: see services.mlflow"
    return "" if case.customers else "there is no customer yet"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


CHECKS = (places, digests, champions)
