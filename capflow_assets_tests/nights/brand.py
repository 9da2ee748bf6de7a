"""A customer with predictions that were written by hand, for the tests of deliveries: no model is trained for them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from capflow_assets.contract import Delivery, Held, Refused, Sent, Withdrawn
from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.deployment import Deployment
from capflow_assets.errors import DeliveryError, DeliveryUnknown
from capflow_assets.graph.engine import deployment
from capflow_assets.home.places import Home
from capflow_assets.nights.destinations import Delivered, deliver_all
from capflow_assets.nights.ledger import Ledger

NIGHT = datetime(2026, 3, 1, 22, 30, tzinfo=UTC)
AS_OF = datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC)
USERS = ("ann", "bob", "cyd", "dan", "eve", "fay")
TOML = """
name = "boots"
vertical = "fashion"
currency = "EUR"
time_zone = "Europe/Berlin"
base = "{base}"

[tables.bills]
source = "csv"
location = "bills.csv"
columns = {{ bill_id = "id", billed_at = "at", amount = "amount", user_id = "user" }}

{more}
"""

WAREHOUSE = """
[[delivery]]
name = "warehouse"
kind = "parquet"
models = ["churn"]
contact = false
options = { location = "OUT", rows_per_file = 4 }
"""
LETTERS = """
[[delivery]]
name = "post"
kind = "letters"
models = ["churn"]
contact = false
columns = { user_id = "who" }
options = { file = "OUT.txt", refuses = "dan" }
"""


class Brand:
    """The home of ``boots``, whose predictions, consents and TOML a test writes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "home" / "customers").mkdir(parents=True)
        (root / "files").mkdir()
        self.boxes = {"letters": Letterbox()}

    def declare(self, more: str) -> None:
        """The rest of the TOML."""
        text = TOML.format(base=self.root / "files", more=more.replace("OUT", str(self.root / "files" / "out")))
        (self.root / "home" / "customers" / "boots.toml").write_text(text)

    @property
    def deployment(self) -> Deployment:
        stages = replace(STAGES, destinations={**STAGES.destinations, **self.boxes})
        return deployment(stages, SOURCES, home=Home.of(self.root / "home"))

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.deployment.lake, "boots")

    def write(self, table: str, rows: list[dict[str, Any]], schema: Any = None) -> None:
        import pyarrow as pa
        from deltalake import write_deltalake

        path = self.deployment.lake.path("boots", table)
        write_deltalake(path, pa.Table.from_pylist(rows, schema=schema), mode="overwrite", schema_mode="overwrite")

    def score(self, model: str = "churn", days: int = 0, users: tuple[str, ...] = USERS, best: float = 0.9) -> None:
        """Predictions: the first user has the best score, then down by tenths; bands by thirds."""
        bands = ("high", "medium", "low")
        rows = [
            {
                "user_id": user,
                "score": round(best - place / 10, 2),
                "percentile": round(100 * (1 - place / len(users)), 2),
                "decile": 10 - place,
                "band": bands[3 * place // len(users)],
                "reasons": "no visit for 40 days",
                "model_version": 3,
                "rung": "own",
                "as_of": AS_OF + timedelta(days=days),
            }
            for place, user in enumerate(users)
        ]
        self.write(f"predictions/{model}", rows)

    def consent(self, **status: str) -> None:
        """Consents to marketing by email, by user."""
        rows = [consent_row(user, said) for user, said in status.items()]
        self.write("raw/consents", rows)

    def deliver(self, model: str = "churn", now: datetime | None = NIGHT) -> list[Delivered]:
        place = self.deployment
        return deliver_all(place, place.customer("boots"), place.stages.model(model), now)

    def delivered(self, model: str = "churn", now: datetime = NIGHT) -> Delivered:
        """What became of the one delivery that there is."""
        (result,) = self.deliver(model, now)
        return result

    def held_back(self) -> dict[str, str]:
        rows = self.deployment.lake.arrow("boots", "delivery/held_back").to_pylist()
        return {row["user_id"]: row["reason"] for row in rows}


def consent_row(user: str, status: str, **more: Any) -> dict[str, Any]:
    row = {"user_id": user, "status": status, "channel": "email", "purpose": "marketing"}
    return row | {"captured_at": AS_OF - timedelta(days=30)} | more


class BoxOptions(BaseModel):
    """A box that may break: before it takes anything, or after."""

    model_config = ConfigDict(extra="forbid")

    file: str
    refuses: str = ""


class Letterbox:
    """A file in which each delivery adds lines, so that one that is sent twice is there twice. It cannot be asked."""

    options = BoxOptions
    resend = "never"
    tells = False

    def __init__(self, breaks: str = "") -> None:
        self.breaks = breaks

    def held(self, options: BoxOptions, delivery: Delivery) -> Held | None:
        return None

    def newest(self, options: BoxOptions, delivery: Delivery) -> datetime | None:
        return None

    def send(self, options: BoxOptions, delivery: Delivery, batches: Any) -> Sent:
        if self.breaks == "before":
            raise DeliveryError("The box is down", where=options.file)
        users = [user for batch in batches for user in batch.column(0).to_pylist()]
        kept = [user for user in users if user != options.refuses]
        with Path(options.file).open("a") as file:
            file.writelines(f"{user}\n" for user in kept)
        if self.breaks == "after":
            raise DeliveryUnknown("The box did not answer", where=options.file)
        if self.breaks == "kill":
            raise KeyboardInterrupt
        refused = tuple(Refused((user,), "no such letterbox") for user in users if user == options.refuses)
        return Sent(len(kept), sum(map(len, kept)), refused=refused)

    def withdraw(self, options: BoxOptions, delivery: Delivery) -> Withdrawn:
        return Withdrawn(None, "letters that were sent stay sent")
