"""A TOML that is wrong is not onboarded, a command that cannot be done says why."""

from __future__ import annotations

import pytest

from capflow_assets_doubles.homes import TestHome
from capflow_assets_tests.sent import COLUMNS, ROWS, Sent, assert_reported, bills, home_of_bad


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> TestHome:
    """A home in which ``bad`` was good once."""
    return home_of_bad(tmp_path_factory.mktemp("bad"))


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
    assert_reported(said, "customer.toml has 1 problem", *words)
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
    assert_reported(home.capflow("onboard", str(tmp_path / "customer.toml")), words, "customer.toml")


def test_two_customers_of_one_name(tmp_path):
    home = TestHome(tmp_path / "home")
    one = Sent(name="twin").into(tmp_path / "one")
    home.ok("onboard", str(one))
    home.ok("onboard", str(one))
    kept = (home.root / "customers" / "twin.toml").read_bytes()
    other = Sent(name="twin", more={"vertical": "other"}).into(tmp_path / "other")
    assert_reported(home.capflow("onboard", str(other)), "There is a customer 'twin' already", str(other), "--replace")
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
    assert_reported(said, "not called after its customer", "Expected: bad.toml", "Came: worse.toml")
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
    assert_reported(said, *(word.format(home=home.root) for word in words))


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


def test_a_home_that_is_a_file_is_reported(tmp_path):
    (tmp_path / "home").write_text("")
    assert_reported(TestHome(tmp_path / "home").capflow("status"), "cannot be used", str(tmp_path / "home"))
