"""What people send by mistake: every one of them is answered in words, nothing is lost, and nobody else is held up."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import tomlkit

from capflow_assets.graph.launch import dagster_instance
from capflow_assets.home.places import Home
from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.files import write
from capflow_assets.simulation.world import simulate
from capflow_assets_tests.homes import Said, TestHome, own_environment

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


def assert_told(said: Said, *words: str) -> None:
    told = " ".join(said.err.split())
    assert said.code == 1, told
    assert "Traceback" not in said.err
    for word in words:
        assert word in told, told


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> TestHome:
    """A home in which ``bad`` was good once."""
    home = TestHome(tmp_path_factory.mktemp("bad") / "home")
    home.ok("onboard", str(Sent().into(home.root.parent / "good")))
    home.ok("run", "bad", "--select", "raw/bills,clean/bills,features/rfm")
    home.ok("status")
    return home


# -- sources that cannot be read -------------------------------------------------------------------------------------

FAILING = {
    "no such location": (Sent(files={}, location="nowhere.csv"), ["There are no files", "nowhere.csv", "To do: check"]),
    "a glob that matches nothing": (Sent(location="bil?.csv"), ["There are no files", "bil?.csv", "To do: check"]),
    "an empty file": (Sent(files={"bills.csv": ""}), ["There is no data", "0 bytes", "bills.csv", "To do: check"]),
    "a file of blank lines": (Sent(files={"bills.csv": "\n \n"}), ["holds no row", "bills.csv"]),
    "a header and nothing else": (Sent(files={"bills.csv": HEADER}), ["holds no row", "To do: check that the export"]),
    "a column that is missing": (
        Sent(files=bills(*ROWS, header=HEADER.replace("amount", "amuont"))),
        ["amount = 'amount'", "did you mean 'amuont'?", "'bill_id', 'user_id', 'billed_at', 'amuont'"],
    ),
    "a mapping that does not parse": (Sent(columns=COLUMNS | {"amount": "amount +"}), ["amount = 'amount +'"]),
    "a mapping that names nothing": (
        Sent(columns=COLUMNS | {"amount": "Umsatz"}),
        ["amount = 'Umsatz'", "over 'bill_id'", "delimiter, header, header_row or encoding"],
    ),
    "a mapping that reads elsewhere": (
        # What no column could be called is refused at onboarding; this might be a header.
        Sent(columns=COLUMNS | {"amount": "select max(amount) from bills"}),
        ["'select', which reads another table"],
    ),
    "too many bad rows": (
        Sent(files=bills(*spoilt(3, 17, 40, 41, 42, 43))),
        [
            "6 of 100 rows of bills were rejected (6.0 %)",
            "bills.csv:4: amount: 'twelve' is not a double",
            "max_rejected_pct",
        ],
    ),
    "dates in another format": (
        Sent(files=bills(*(row.replace("2024-0", "31/0") for row in ROWS))),
        ["100 of 100 rows", "is not a timestamp written as yyyy-MM-dd HH:mm:ss", "To do: mend the rows"],
    ),
    "another delimiter": (Sent(options={"delimiter": ";"}), ["'bill_id,user_id,billed_at,amount'", "delimiter"]),
    "a header that is said not to be": (Sent(options={"header": False}), ["'column_1'", "header"]),
    "garbage": (Sent(files={"bills.csv": bytes(range(256)) * 400}), ["begins with no text", "check that it is a text"]),
    "a picture": (Sent(files={"bills.csv": b"\x89PNG\r\n\x1a\n" + bytes(range(1, 255))}), ["PNG", "encoding"]),
    "UTF-16 that nobody declared": (Sent(files={"bills.csv": GOOD.encode("utf-16")}), ["text in utf-8", "utf-16"]),
    "another encoding": (
        Sent(files={"bills.csv": GOOD.replace("u3", "René").encode("latin-1")}),
        ["byte e9", "column 'user_id'", "bills.csv:4", "cp1252, iso-8859-15 and latin-1 read 'René'"],
    ),
    "a header that says a column twice": (
        Sent(files=bills(*ROWS, header=HEADER.replace("user_id", "amount"))),
        ["user_id = 'user_id'", "'amount', 'billed_at', 'amount_4'"],
    ),
    "a folder of all sorts": (
        Sent(files={"in/bills.csv": GOOD, "in/readme.txt": "Hello,\nhow are you?\n" * 3}, location="in"),
        ["no column in common", "in/readme.txt with Hello", "*.csv"],
    ),
    "a folder of all sorts, read as Parquet": (
        Sent(files={"in/bills.csv": GOOD}, location="in", source="parquet"),
        ["cannot be read as Parquet", "in/bills.csv", "other files do not belong into the folder"],
    ),
    "a package that is not installed": (Sent(location="package://no_such_package/a.csv"), ["install the package"]),
}


@pytest.mark.parametrize("case", FAILING)
def test_a_source_that_cannot_be_read_is_told_and_the_last_good_version_stays(home, tmp_path, case):
    sent, words = FAILING[case]
    tables = ("raw/bills", "clean/bills", "features/rfm")
    before = {table: home.rows(table, "bad") for table in tables}
    home.ok("onboard", str(sent.into(tmp_path)), "--replace")
    said = home.capflow("run", "bad", "--select", ",".join(tables))
    assert_told(said, "bad: 0 done", "raw/bills: ", *words, "not done either: clean/bills, features/rfm")
    assert {table: home.rows(table, "bad") for table in tables} == before
    assert len(before["raw/bills"]) == 100


# -- rows that cannot be read ----------------------------------------------------------------------------------------


def ran(folder: Path, sent: Sent) -> tuple[TestHome, Said]:
    home = TestHome(folder / "home")
    home.ok("onboard", str(sent.into(folder / "files")))
    said = home.capflow("run", "bad", "--select", "raw/bills,clean/bills")
    assert said.code == 0, said.err
    return home, said


def landed(home: TestHome) -> str:
    """What the check of the landing says in Dagster."""
    with own_environment(), dagster_instance(Home.of(home.root)) as instance:
        key = dg.AssetCheckKey(dg.AssetKey(["raw", "bills"]), "landed")
        (record,) = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
        return record.event.dagster_event.asset_check_evaluation_data.description


def test_a_row_of_a_wrong_type_is_set_aside_and_named(tmp_path):
    home, said = ran(tmp_path, Sent(files=bills(*spoilt(17))))
    assert "1 of 100 rows cannot be read and were set aside" in said.err
    assert "capflow show raw/bills_rejected --customer bad" in said.err
    assert "1 of 100 rows were rejected" in landed(home)
    assert "bills.csv:18: amount: 'twelve' is not a double" in landed(home)
    (row,) = home.rows("raw/bills_rejected", "bad")
    assert row["rejected_because"] == "amount: 'twelve' is not a double"
    assert json.loads(row["source_row"])["bill_id"] == "17"
    assert "twelve" in home.ok("show", "raw/bills_rejected", "--customer", "bad")
    assert {row["bill_id"] for row in home.rows("raw/bills", "bad")} == {str(n) for n in range(1, 101)} - {"17"}


def test_five_per_cent_may_be_bad_and_are_forgotten_once_they_are_mended(tmp_path):
    home, _ = ran(tmp_path, Sent(files=bills(*spoilt(1, 2, 3, 4, 5))))
    assert len(home.rows("raw/bills_rejected", "bad")) == 5
    (tmp_path / "files" / "bills.csv").write_text(GOOD)
    said = home.capflow("run", "bad", "--select", "raw/bills")
    assert said.code == 0
    assert "set aside" not in said.err
    assert home.rows("raw/bills_rejected", "bad") == []
    assert len(home.rows("raw/bills", "bad")) == 100


def test_names_and_values_that_are_code_are_only_text(tmp_path):
    rows = [*ROWS, f'101,"{EVIL}",2024-01-01 10:00:00,5', '102,"[red]<b>",2024-01-01 10:00:00,5']
    sent = Sent(files=bills(*rows, header=HEADER.replace("user_id", f'"{EVIL}"')), columns=COLUMNS | {"user_id": EVIL})
    home, _ = ran(tmp_path, sent)
    users = {row["bill_id"]: row["user_id"] for row in home.rows("clean/bills", "bad")}
    assert len(users) == 102
    assert (users["101"], users["102"]) == (EVIL, "[red]<b>")
    shown = home.ok("show", "clean/bills", "--customer", "bad", "--limit", "200")
    assert "[red]<b>" in shown


def test_nul_bytes_and_huge_values_cost_their_own_row_at_most(tmp_path):
    huge = "x" * 2_000_000
    rows = [
        *ROWS,
        "101,a\0b,2024-01-01 10:00:00,5",
        f"102,{huge},2024-01-01 10:00:00,5",
        "103,u,2024-01-01 10:00:00,5\0005",
    ]
    home, _ = ran(tmp_path, Sent(files=bills(*rows, f"104,u,2024-01-01 10:00:00,{huge}")))
    users = {row["bill_id"]: row["user_id"] for row in home.rows("raw/bills", "bad")}
    assert (users["101"], users["102"]) == ("a\0b", huge)
    reasons = {
        json.loads(row["source_row"])["bill_id"]: row["rejected_because"]
        for row in home.rows("raw/bills_rejected", "bad")
    }
    assert set(reasons) == {"103", "104"}
    assert max(map(len, reasons.values())) < 200
    assert len(landed(home)) < 1000


def test_a_column_that_is_there_twice_is_not_mixed_up(tmp_path):
    rows = [f"{row},{-n}" for n, row in enumerate(ROWS, 1)]
    home, _ = ran(tmp_path, Sent(files=bills(*rows, header=HEADER.strip() + ",amount\n")))
    assert {row["bill_id"]: row["amount"] for row in home.rows("raw/bills", "bad")} == {
        str(n): n + 0.5 for n in range(1, 101)
    }


def test_utf_16_that_is_declared_is_read(tmp_path):
    rows = [*ROWS, "101,Jürgen,2024-01-01 10:00:00,5"]
    text = (HEADER + "\n".join(rows)).encode("utf-16")
    home, _ = ran(tmp_path, Sent(files={"bills.csv": text}, options={"encoding": "utf-16"}))
    assert "Jürgen" in {row["user_id"] for row in home.rows("raw/bills", "bad")}


# -- a TOML that is wrong --------------------------------------------------------------------------------------------

REFUSED = {
    "a name that leaves the lake": (Sent(name="../bad"), ["name.", "Came: '../bad'"]),
    "a name in capitals": (Sent(name="Bad"), ["name.", "Came: 'Bad'"]),
    "a zone that does not exist": (
        Sent(more={"time_zone": "Europe/Lodnon"}),
        ["time_zone.", "did you mean 'Europe/London'?"],
    ),
    "a currency in words": (Sent(more={"currency": "euro"}), ["currency.", "Came: 'euro'"]),
    "a source that does not exist": (
        Sent(source="exel"),
        ["tables.bills.source.", "csv, delta, dynamodb, excel, files, json, mongodb, parquet, sql"],
    ),
    "a table that does not exist": (
        Sent(more={"tables": {"bils": {"source": "csv", "location": "x", "columns": {"a": "b"}}}}),
        ["tables.bils.", "did you mean 'bills'?"],
    ),
    "a column that does not exist": (
        Sent(columns=COLUMNS | {"amout": "amount"}),
        ["tables.bills.columns.amout.", "did you mean 'amount'?"],
    ),
    "a required column that is not mapped": (
        Sent(columns={"bill_id": "bill_id", "billed_at": "billed_at"}),
        ["tables.bills.columns.amount.", "To do: map it"],
    ),
    "an option that does not exist": (Sent(options={"delimeter": ";"}), ["did you mean 'delimiter'?"]),
    "an option of a wrong type": (Sent(options={"delimiter": 3}), ["tables.bills.options.delimiter.", "Came: 3"]),
    "an encoding that does not exist": (Sent(options={"encoding": "utf-61"}), ["options.encoding", "windows-1252"]),
    "a share that is none": (
        Sent(
            more={"tables": {"bills": {"source": "csv", "location": "x", "max_rejected_pct": 400, "columns": COLUMNS}}}
        ),
        ["tables.bills.max_rejected_pct.", "Came: 400"],
    ),
    "a model that does not exist": (
        Sent(more={"models": {"rfm_segment": {}}}),
        ["models.rfm_segment.", "did you mean 'rfm_segments'?"],
    ),
    "a parameter that does not exist": (
        Sent(more={"models": {"rfm_segments": {"horizon": 30}}}),
        ["models.rfm_segments.horizon is no key that is known.", "Came: 30", "did you mean 'horizon_days'?"],
    ),
    "a parameter out of its bounds": (
        Sent(more={"models": {"rfm_segments": {"horizon_days": 0}}}),
        ["models.rfm_segments.horizon_days.", "at least 1", "Came: 0"],
    ),
    "a parameter of a wrong type": (
        Sent(more={"models": {"rfm_segments": {"seed": "lucky"}}}),
        ["models.rfm_segments.seed.", "Came: 'lucky'"],
    ),
    "a location of another kind": (Sent(location="https://x/y.csv"), ["tables.bills.location.", "s3://"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_toml_that_is_wrong_is_not_onboarded(home, tmp_path, case):
    sent, words = REFUSED[case]
    before = sorted((file.name, file.read_bytes()) for file in (home.root / "customers").iterdir())
    said = home.capflow("onboard", str(sent.into(tmp_path)), "--replace")
    assert_told(said, "customer.toml has 1 problem", *words)
    assert sorted((file.name, file.read_bytes()) for file in (home.root / "customers").iterdir()) == before


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "The file is empty"),
        (b"name = ", "The file is not TOML"),
        (b"\xff\xfen\x00a\x00m\x00e\x00", "The file is not UTF-8"),
        ("name = 'Ä'".encode("latin-1"), "save it as UTF-8"),
        (b"\x00" * 100, "The file is not TOML"),
        (b"x" * (1 << 21), "too large"),
    ],
)
def test_a_file_that_is_no_toml_is_not_onboarded(home, tmp_path, content, words):
    (tmp_path / "customer.toml").write_bytes(content)
    assert_told(home.capflow("onboard", str(tmp_path / "customer.toml")), words, "customer.toml")


def test_two_customers_of_one_name(tmp_path):
    home = TestHome(tmp_path / "home")
    one = Sent(name="twin").into(tmp_path / "one")
    home.ok("onboard", str(one))
    home.ok("onboard", str(one))
    kept = (home.root / "customers" / "twin.toml").read_bytes()
    other = Sent(name="twin", more={"vertical": "other"}).into(tmp_path / "other")
    assert_told(home.capflow("onboard", str(other)), "There is a customer 'twin' already", str(other), "--replace")
    assert (home.root / "customers" / "twin.toml").read_bytes() == kept
    home.ok("onboard", str(other), "--replace")
    assert b"other" in (home.root / "customers" / "twin.toml").read_bytes()


def test_a_file_that_declares_another_customer_does_not_write_that_ones_tables(home, tmp_path):
    """A copy of a TOML under another name would run into the first customer's lake."""
    copy = home.copied(tmp_path / "home")
    before = copy.rows("raw/bills", "bad")
    half = Sent(files=bills(*ROWS[:50]), name="bad").into(tmp_path / "half")
    text = half.read_text().replace('"bills.csv"', f'"{half.parent / "bills.csv"}"')
    (copy.root / "customers" / "worse.toml").write_text(text)
    said = copy.capflow("run", "worse", "--select", "raw/bills")
    assert_told(said, "not called after its customer", "Expected: bad.toml", "Came: worse.toml")
    assert copy.rows("raw/bills", "bad") == before


# -- commands --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("show", "raw/bils", "--customer", "bad"), ["no table of bad 'raw/bils'", "did you mean 'raw/bills'?"]),
        (("show", "raw/bills", "--customer", "bda"), ["no customer 'bda'", "did you mean 'bad'?"]),
        (("show", "raw/bills", "-c", "bad", "-o", "bills.xlsx"), ["That format is not known", "csv, json, parquet"]),
        (("show", "raw/bills", "-c", "bad", "-o", "{home}"), ["cannot be used", "Is a directory", "{home}"]),
        (("run", "bad", "--select", "raw/bils"), ["no table 'raw/bils'", "did you mean"]),
        (("run", "bad", "--as-of", "31.12.2024"), ["The as-of moment cannot be read", "a date (2024-06-30)"]),
        (("explain", "bad", "rfm_segment"), ["no model 'rfm_segment'", "did you mean 'rfm_segments'?"]),
        (("promote", "bad", "rfm_segments"), ["bad.rfm_segments has no challenger"]),
        (("rollback", "bad", "rfm_segments"), ["no champion to go back to"]),
        (("freeze", "bad", "rfm_segments"), ["has never been trained", "capflow run bad"]),
        (("onboard", "{home}"), ["The file cannot be read", "Is a directory"]),
    ],
)
def test_a_command_that_cannot_be_done_says_why(home, arguments, words):
    said = home.capflow(*(argument.format(home=home.root) for argument in arguments))
    assert_told(said, *(word.format(home=home.root) for word in words))


@pytest.mark.parametrize(
    "arguments",
    [
        ("run",),
        ("fly", "bad"),
        ("show", "raw/bills"),
        ("show", "raw/bills", "-c", "bad", "--limit", "-1"),
        ("show", "raw/bills", "-c", "bad", "--format", "xml"),
        ("promote", "bad", "rfm_segments", "--version", "0"),
    ],
)
def test_a_command_that_is_mistyped_shows_its_usage(home, arguments):
    said = home.capflow(*arguments)
    assert said.code == 2
    assert "Usage" in said.err
    assert "Traceback" not in said.err


def test_a_home_that_is_a_file_is_told(tmp_path):
    (tmp_path / "home").write_text("")
    assert_told(TestHome(tmp_path / "home").capflow("status"), "cannot be used", str(tmp_path / "home"))


# -- next to nothing -------------------------------------------------------------------------------------------------

LITTLE = {
    "one-bill": ROWS[:1],
    "one-user": [",".join([row.split(",")[0], "u", *row.split(",")[2:]]) for row in ROWS],
    "nobody": [",".join([row.split(",")[0], "", *row.split(",")[2:]]) for row in ROWS],
}


def test_a_customer_of_next_to_nothing_has_its_tables_and_the_reason_why_no_models(tmp_path):
    home = TestHome(tmp_path / "home")
    for name, rows in LITTLE.items():
        home.ok("onboard", str(Sent(files=bills(*rows), name=name).into(tmp_path / name)))
    home.ok("run", *LITTLE, "--select", "raw/bills,clean,validation,features,models/rfm_segments")
    for name, users in (("one-bill", 1), ("one-user", 1), ("nobody", 0)):
        assert len(home.rows("features/rfm", name)) == users
        row = home.status(name)["rfm_segments"]
        assert (row["status"], bool(row["reason"])) == ("not ready", True)


# -- the others ------------------------------------------------------------------------------------------------------

UP_TO_SCORES = "raw/bills,clean/bills,features/rfm,features/rhythm,models/rfm_segments,predictions/rfm_segments"


def gone_bad(home: TestHome) -> None:
    (home.root / "customers" / "bad.toml").write_text("name = ")


@pytest.mark.parametrize("how", ["no such location", "too many bad rows", "the TOML has gone bad"])
def test_one_broken_customer_leaves_the_others_alone(home, tmp_path, how):
    copy = home.copied(tmp_path / "home")
    before = copy.rows("raw/bills", "bad")
    good = write(simulate(tiny("good", seed=3, users=150, days=300, sends=("bills",))), tmp_path / "good")
    copy.ok("onboard", str(good))
    if how in FAILING:
        copy.ok("onboard", str(FAILING[how][0].into(tmp_path / "bad")), "--replace")
    else:
        gone_bad(copy)
    said = copy.capflow("run", "bad", "good", "--select", UP_TO_SCORES)
    assert_told(said, "✗ bad: 0 done", "✓ good: 6 done, 0 waiting or absent, 0 failed")
    assert len(copy.rows("predictions/rfm_segments", "good")) > 100
    assert copy.rows("raw/bills", "bad") == before
    assert {row["customer"] for row in json.loads(copy.ok("status", "--format", "json"))} == {"bad", "good"}
    if how == "the TOML has gone bad":
        assert said.err.count("The file is not TOML") <= 2, "the same reason is told once, not for each table"
