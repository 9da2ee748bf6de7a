"""What people send by mistake: every one of them is answered in words, nothing is lost, and nobody else is held up."""

from __future__ import annotations

import json

import pytest

from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.files import write
from capflow_assets.simulation.world import simulate
from capflow_assets_doubles.homes import FEW_FEATURES, TestHome
from capflow_assets_tests.sent import COLUMNS, GOOD, HEADER, ROWS, Sent, assert_reported, bills, home_of_bad, spoilt


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> TestHome:
    """A home in which ``bad`` was good once."""
    return home_of_bad(tmp_path_factory.mktemp("bad"))


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
def test_a_source_that_cannot_be_read_is_reported_and_the_last_good_version_stays(home, tmp_path, case):
    sent, words = FAILING[case]
    tables = ("raw/bills", "clean/bills", "features/rfm")
    before = {table: home.rows(table, "bad") for table in tables}
    home.ok("onboard", str(sent.into(tmp_path)), "--replace")
    said = home.capflow("run", "bad", "--select", ",".join(tables))
    assert_reported(said, "bad: 0 done", "raw/bills: ", *words, "not done either: clean/bills, features/rfm")
    assert {table: home.rows(table, "bad") for table in tables} == before
    assert len(before["raw/bills"]) == 100


# -- next to nothing -------------------------------------------------------------------------------------------------

LITTLE = {
    "one-bill": ROWS[:1],
    "one-user": [",".join([row.split(",")[0], "u", *row.split(",")[2:]]) for row in ROWS],
    "nobody": [",".join([row.split(",")[0], "", *row.split(",")[2:]]) for row in ROWS],
}


def test_a_customer_of_next_to_nothing_has_its_tables_and_the_reason_why_no_models(tmp_path):
    home = TestHome(tmp_path / "home")
    for name, rows in LITTLE.items():
        more = {} if name == "one-bill" else FEW_FEATURES
        home.ok("onboard", str(Sent(files=bills(*rows), name=name, more=more).into(tmp_path / name)))
    tables = "raw/bills,clean,validation,features,models/rfm_segments"
    home.ok("run", *LITTLE, "--select", tables, "--processes", "1")
    for name, users in (("one-bill", 1), ("one-user", 1), ("nobody", 0)):
        assert len(home.rows("features/rfm", name)) == users
        row = home.status(name)["rfm_segments"]
        assert (row["status"], bool(row["reason"])) == ("not ready", True)


# -- the others ------------------------------------------------------------------------------------------------------

UP_TO_SCORES = "raw/bills,clean/bills,features/rfm,features/rhythm,models/rfm_segments,predictions/rfm_segments"


def gone_bad(home: TestHome) -> None:
    (home.root / "customers" / "bad.toml").write_text("name = ")


@pytest.mark.parametrize(
    ("how", "processes"), [("no such location", 1), ("too many bad rows", 1), ("the TOML has gone bad", 2)]
)
def test_one_broken_customer_leaves_the_others_alone(home, tmp_path, how, processes):
    copy = home.copied(tmp_path / "home")
    before = copy.rows("raw/bills", "bad")
    good = write(simulate(tiny("good", seed=3, users=150, days=300, sends=("bills",))), tmp_path / "good")
    copy.ok("onboard", str(good))
    if how in FAILING:
        copy.ok("onboard", str(FAILING[how][0].into(tmp_path / "bad")), "--replace")
    else:
        gone_bad(copy)
    said = copy.capflow("run", "bad", "good", "--select", UP_TO_SCORES, "--processes", str(processes))
    assert_reported(said, "✗ bad: 0 done", "✓ good: 6 done, 0 waiting or absent, 0 failed")
    assert len(copy.rows("predictions/rfm_segments", "good")) > 100
    assert copy.rows("raw/bills", "bad") == before
    assert {row["customer"] for row in json.loads(copy.ok("status", "good", "-c", "bad", "-f", "json"))} == {
        "bad",
        "good",
    }
    if how == "the TOML has gone bad":
        assert said.err.count("The file is not TOML") <= 2, "the same reason is told once, not for each table"
