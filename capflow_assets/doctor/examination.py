"""All checks, one after another: each has its time, and one that fails keeps none of the others from being made."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from importlib import import_module
from pkgutil import iter_modules
from typing import NamedTuple

from capflow_assets.doctor.case import Case, Checks, Diagnosis, State, broken, first_line, harmless, message_and_remedy
from capflow_assets.errors import CapflowError

COLUMNS = ("check", "state", "found", "to_do")
ORDER = (
    "configuration",
    "versions",
    "records",
    "services",
    "lake",
    "models",
    "answers",
    "sources",
    "permissions",
    "clock",
    "machine",
    "daemon",
)
Check = Callable[[Case], Checks]


class Result(NamedTuple):
    """One line of the report, with the columns of ``COLUMNS``."""

    check: str
    state: State
    found: str
    to_do: str


def checks() -> dict[str, Check]:
    """Every check by name: the area, which is the file's name, and the function's."""
    package = __package__ or ""
    names = [info.name for info in iter_modules(import_module(package).__path__)]
    names.sort(key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))
    modules = {name: import_module(f"{package}.{name}") for name in names}
    return {
        f"{area}.{check.__name__}": check for area, module in modules.items() for check in getattr(module, "CHECKS", ())
    }


def examine(
    case: Case, watch: Callable[[str], None] = lambda name: None, pattern: str = "*", mend: bool = False
) -> Iterator[Result]:
    """The results of all checks (or of those whose name fits ``pattern``) as they come.

    ``watch`` is told the name of each check before it is made. With ``mend``, what can be mended is.
    """
    for name, check in checks().items():
        if not fnmatchcase(name, pattern):
            continue
        watch(name)
        for diagnosis in within_its_time(check, case):
            if mend and diagnosis.mend is not None:
                diagnosis = _mended(diagnosis, diagnosis.mend)
            shown = (harmless(text, case.environment) for text in (diagnosis.found, diagnosis.to_do))
            yield Result(name, diagnosis.state, *shown)


def _mended(diagnosis: Diagnosis, mend: Callable[[], str]) -> Diagnosis:
    """What became of a finding that could be mended; mending takes the time that it takes."""
    try:
        return Diagnosis("mended", f"{diagnosis.found}; mended: {mend()}")
    except CapflowError as error:
        words, do = message_and_remedy(error)
    except Exception as error:  # the next finding may be mended all the same
        words, do = first_line(error), diagnosis.to_do
    return broken(f"{diagnosis.found}; it could not be mended: {words}", do)


def within_its_time(check: Check, case: Case) -> list[Diagnosis]:
    """What a check finds. Its error is a finding, and so is its silence; a thread that hangs is left behind."""
    said: list[Diagnosis] = []

    def run() -> None:
        try:
            said.extend(iter(check(case)))
        except CapflowError as error:
            said.append(broken(*message_and_remedy(error)))
        except BaseException as error:  # a panic in a library's Rust is no Exception
            words = f"this examination itself failed: {type(error).__name__}: {first_line(error)}"
            said.append(
                broken(words, "mend that where it is yours, then ask again; else report it as a fault of CapFlow")
            )

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(case.check_seconds)
    results = list(said)
    if thread.is_alive():
        do = "see whether the other side is up and whether the network lets this machine through"
        results.append(broken(f"no answer within {case.check_seconds:g} s", do))
    return results
