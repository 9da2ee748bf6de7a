"""What a customer sends by mistake, and the message that a person gets."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomlkit

from capflow_assets_doubles.homes import Said, TestHome

HEADER = "bill_id,user_id,billed_at,amount\n"
ROWS = [f"{n},u{n % 7},2024-0{1 + n % 6}-1{n % 9} 10:00:00,{n}.5" for n in range(1, 101)]
GOOD = HEADER + "\n".join(ROWS) + "\n"
COLUMNS = {name: name for name in HEADER.strip().split(",")}
EVIL = "'; drop table bills; --"


@dataclass
class Sent:
    """What a customer sends: bytes of files, and what its TOML says of them."""

    files: dict[str, bytes | str] = field(default_factory=lambda: {"bills.csv": GOOD})
    name: str = "bad"
    source: str = "csv"
    location: str = "bills.csv"
    columns: dict[str, str] = field(default_factory=lambda: dict(COLUMNS))
    options: dict[str, Any] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)

    def into(self, folder: Path) -> Path:
        for name, content in self.files.items():
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
        table = {"source": self.source, "location": self.location, "options": self.options, "columns": self.columns}
        head = {"name": self.name, "vertical": "x", "currency": "EUR", "time_zone": "UTC"}
        folder.mkdir(parents=True, exist_ok=True)
        toml = folder / "customer.toml"
        toml.write_text(tomlkit.dumps(head | {"tables": {"bills": table}} | self.more), encoding="utf-8")
        return toml


def bills(*rows: str, header: str = HEADER) -> dict[str, bytes | str]:
    return {"bills.csv": header + "\n".join(rows) + "\n"}


def spoilt(*places: int) -> list[str]:
    """The rows, those of the given numbers with a word for an amount."""
    return [row.rpartition(",")[0] + ",twelve" if n in places else row for n, row in enumerate(ROWS, 1)]


def assert_reported(said: Said, *words: str) -> None:
    message = " ".join(said.err.split())
    assert said.code == 1, message
    assert "Traceback" not in said.err
    for word in words:
        assert word in message, message


def home_of_bad(folder: Path) -> TestHome:
    """A home in which ``bad`` was good once."""
    home = TestHome(folder / "home")
    home.ok("onboard", str(Sent().into(folder / "good")))
    home.ok("run", "bad", "--select", "raw/bills,clean/bills,features/rfm")
    home.ok("status")
    return home
