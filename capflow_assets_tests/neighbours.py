"""A home with ``ann``, whose files hold a canary, and ``spy``, who tries to land them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit

from capflow_assets.customers.customer import Customer
from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.deployment import Deployment
from capflow_assets.errors import CapflowError
from capflow_assets.graph.engine import deployment
from capflow_assets.home.places import Home
from capflow_assets.tables.runner import TableRunner
from capflow_assets_doubles.homes import TestHome, own_environment

CANARY = "canary-of-ann"
COLUMNS = {"bill_id": "bill_id", "user_id": "user_id", "billed_at": "billed_at", "amount": "amount"}
HEADER = ",".join(COLUMNS)


def rows_of(user: str) -> str:
    return "\n".join([HEADER, *(f"b{n},{user},2024-05-0{n} 10:00:00,{n}.5" for n in range(1, 4))]) + "\n"


def toml_of(name: str, location: str, source: str = "csv", **options: Any) -> str:
    bills = {"source": source, "location": location, "columns": COLUMNS} | ({"options": options} if options else {})
    top = {"name": name, "vertical": "gifts", "currency": "EUR", "time_zone": "UTC"}
    return tomlkit.dumps(top | {"tables": {"bills": bills}})


@dataclass(frozen=True)
class Neighbours:
    """The home, and each one's folder of exports beside it."""

    home: TestHome
    folder: Path

    @property
    def ann(self) -> Path:
        return self.folder / "exports" / "ann"

    @property
    def spy(self) -> Path:
        return self.folder / "exports" / "spy"

    def onboard(self, location: str, source: str = "csv", **options: Any) -> str:
        """What is said against spy's TOML; blank where it comes in."""
        toml = self.spy / "spy.toml"
        toml.write_text(toml_of("spy", location, source, **options))
        said = self.home.capflow("onboard", str(toml), "--replace")
        return said.err if said.code else ""

    def drop(self, location: str, source: str = "csv", **options: Any) -> None:
        """Put spy's TOML into the home by hand, as what was onboarded before the files changed would lie there."""
        text = toml_of("spy", location, source, **options)
        base = f'base = "{self.spy}"\n'
        (self.home.root / "customers" / "spy.toml").write_text(base + text)

    def land(self) -> str:
        """Land spy's bills as the step does; why they did not land, blank where they did."""
        with own_environment():
            deployed = self.deployment()
            try:
                customer = deployed.customer("spy")
            except CapflowError as error:
                return str(error)
            runner = TableRunner(
                lake=deployed.lake,
                stages=STAGES,
                sources=SOURCES,
                customer=customer,
                selected=frozenset({"raw/bills"}),
                fence=lambda: deployed.fence(customer),
            )
            (result,) = runner.run()
        return "" if result.status == "done" else result.reason

    def deployment(self) -> Deployment:
        return deployment(STAGES, SOURCES, home=Home.of(self.home.root, {}))

    def landed(self) -> set[str]:
        """The users in spy's bills."""
        with own_environment():
            lake = self.deployment().lake
            return set(lake.arrow("spy", "raw/bills").column("user_id").to_pylist())

    def stolen(self) -> list[str]:
        """The files of spy's prefix that hold the canary, in whatever spelling."""
        return [str(file) for file in self._of_spy() if CANARY.encode() in file.read_bytes()]

    def _of_spy(self) -> Iterator[Path]:
        folder = self.home.root / "lake" / "spy"
        yield from (file for file in folder.rglob("*") if file.is_file())

    def settle(self, text: str) -> None:
        """Write the deployment's settings."""
        (self.home.root / "capflow.toml").write_text(text)

    def clear(self) -> None:
        """Spy has never been here."""
        shutil.rmtree(self.home.root / "lake" / "spy", ignore_errors=True)
        shutil.rmtree(self.spy, ignore_errors=True)
        self.spy.mkdir()
        (self.spy / "bills.csv").write_text(rows_of("spys-own"))
        for file in ("capflow.toml", "customers/spy.toml"):
            (self.home.root / file).unlink(missing_ok=True)


def customer_of(source: str, location: str, **options: object) -> Customer:
    """The customer who tries, with bills at a location."""
    bills = {"source": source, "location": location, "columns": COLUMNS, "options": options}
    declared = {"name": "spy", "vertical": "x", "currency": "EUR", "time_zone": "UTC", "tables": {"bills": bills}}
    return Customer.model_validate(declared)


def neighbours(folder: Path) -> Neighbours:
    """A home in which ann's bills have landed, and spy's folder beside hers."""
    both = Neighbours(TestHome(folder / "home"), folder)
    both.ann.mkdir(parents=True)
    both.spy.mkdir()
    (both.ann / "bills.csv").write_text(rows_of(CANARY))
    (both.ann / "ann.toml").write_text(toml_of("ann", "bills.csv"))
    both.home.ok("onboard", str(both.ann / "ann.toml"))
    both.home.ok("run", "ann", "--select", "raw/bills")
    return both


def manifest(table: Path, path: str) -> None:
    """Let a Delta table's first commit name its one file by another path."""
    log = table / "_delta_log" / f"{0:020}.json"
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    for action in actions:
        if "add" in action:
            action["add"]["path"] = path
    log.write_text("\n".join(json.dumps(action) for action in actions))


FRAME = {"bill_id": ["b1"], "user_id": [CANARY], "billed_at": ["2024-05-01 10:00:00"], "amount": [1.5]}


def refused(both: Neighbours, location: str, source: str = "csv", **options: object) -> str:
    """Why neither onboarding lets a location in nor landing reads it, where its TOML lies in the home all the same."""
    why = both.onboard(location, source, **options)
    both.drop(location, source, **options)
    landing = both.land()
    assert landing, f"{location} landed"
    assert "Traceback" not in why + landing
    return why + landing
