"""What a person at a terminal meets: which home is meant, what is refused at once, and what fits on the screen."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from capflow_assets.cli.commands import main
from capflow_assets.errors import CapflowError
from capflow_assets.expressions.as_of import parse_moment
from capflow_assets.graph.launch import dagster_instance
from capflow_assets.home.places import Home
from capflow_assets_doubles.homes import Said, TestHome, own_environment
from capflow_assets_doubles.page_server import environment

# A command, and which of the libraries that take seconds it has loaded.
LOADED = """
import sys
from capflow_assets.cli.commands import main
try:
    main(sys.argv[1:])
finally:
    print(sorted({'dagster', 'pyspark', 'mlflow'} & set(sys.modules)))
"""
TOML = """
name = "cafe"
vertical = "food_and_beverage"
currency = "EUR"
time_zone = "UTC"
[tables.bills]
source = "csv"
location = "bills.csv"
[tables.bills.columns]
bill_id = "id"
user_id = "who"
billed_at = "at"
amount = "total"
"""


def sent(folder: Path, toml: str = TOML) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    start = datetime(2024, 1, 1, tzinfo=UTC)
    rows = [f"b{i},u{i % 7},{start + timedelta(hours=9 * i):%Y-%m-%d %H:%M:%S},{i % 11}.50\n" for i in range(60)]
    (folder / "bills.csv").write_text("id,who,at,total\n" + "".join(rows))
    (folder / "cafe.toml").write_text(toml)
    return folder / "cafe.toml"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> TestHome:
    """A home with ``cafe``, which sends bills alone, and of which more was asked. Do not change it."""
    folder = tmp_path_factory.mktemp("hands")
    of_cafe = TestHome(folder / "home")
    of_cafe.ok("onboard", str(sent(folder)))
    of_cafe.ok("run", "cafe", "--select", "raw/bills,raw/users,clean/bills,*/campaign_response")
    return of_cafe


def verdict(home: TestHome, asset: str, check: str) -> tuple[bool, str]:
    with own_environment(), dagster_instance(Home.of(home.root)) as instance:
        key = dg.AssetCheckKey(dg.AssetKey(asset.split("/")), check)
        (record,) = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
        event: Any = record.event
    checked = event.dagster_event.asset_check_evaluation_data
    return checked.passed, checked.description


# -- which home --------------------------------------------------------------------------------------------------------


def called(*arguments: str, **variables: str) -> Said:
    """`capflow` in this process, with variables of its own and no `--home` besides."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with own_environment(), pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main(list(arguments))
            except SystemExit as stop:
                code = int(stop.code or 0)
    return Said(code, out.getvalue(), err.getvalue())


def test_the_option_wins_over_the_variable_wherever_it_stands(home, tmp_path) -> None:
    other = str(tmp_path / "other")
    mine = ("--home", str(home.root))
    assert "cafe" in called(*mine, "status", CAPFLOW_HOME=other).out
    assert "cafe" in called("status", *mine, CAPFLOW_HOME=other).out
    assert "cafe" in called("status", CAPFLOW_HOME=str(home.root)).out
    assert "cafe" in called("--home", other, "status", *mine).out, "the nearer one"
    assert not (tmp_path / "other").exists()


def test_what_destroys_names_the_home_and_what_it_touches_before_it_asks(home) -> None:
    for command, words in ((("forget", "cafe", "u1"), "1 user of cafe"), (("retire", "cafe"), "cafe with")):
        said = home.capflow(*command)
        assert said.code == 1
        assert f"in the home {home.root}" in said.err
        assert words in said.err
    assert len(home.rows("raw/bills", "cafe")) == 60


@pytest.mark.parametrize("name", ["CAPFLOW_LAKE", "CAPFLOW_SETTINGS"])
def test_a_tilde_in_a_variable_is_the_persons_folder(name: str) -> None:
    home = Home.of("/srv/home", {name: "~/x"})
    assert str(Path.home() / "x") in (home.lake, home.settings_file)
    with pytest.raises(CapflowError, match="without ~"):
        Home.of("/srv/home", {name: "~nobody-of-that-name/x"})


# -- refused at once ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "caffe"), "did you mean 'cafe'?"),
        (("explain", "cafe", "rfm_segment"), "did you mean 'rfm_segments'?"),
        (("promote", "cafe", "purchase_propensty"), "did you mean 'purchase_propensity'?"),
        (("forget", "caffe", "u1", "--yes"), "did you mean 'cafe'?"),
        (("show", "raw/bills", "-c", "caffe"), "did you mean 'cafe'?"),
        (("run", "cafe", "-s", "features/rmf"), "did you mean 'features/rfm'?"),
        (("alerts", "--test", "nobody"), "There is no alert 'nobody'"),
        (("run", "cafe", "--as-of", "9999-12-31"), "ahead of now"),
        (("run", "cafe", "--as-of", "9999-12-31T23:59:59.999999-12:00"), "ahead of now"),
        (("run", "cafe", "--as-of", "0001-01-01T00:00:00+14:00"), "cannot be read"),
    ],
)
def test_what_is_mistyped_is_refused_before_dagster_or_an_engine_is_loaded(home, arguments, words) -> None:
    command = [*arguments, "--home", str(home.root)]
    program = [sys.executable, "-c", LOADED, *command]
    ended = subprocess.run(program, capture_output=True, text=True, env=environment(), check=False)
    assert ended.returncode == 1
    assert words in ended.stderr
    assert ended.stdout.strip() == "[]"


def test_today_is_no_day_ahead_wherever_a_customer_is() -> None:
    now = datetime(2024, 6, 30, 11, tzinfo=UTC)
    assert parse_moment("2024-07-01", "Pacific/Kiritimati", now).isoformat() == "2024-07-01T09:59:59.999999+00:00"
    assert parse_moment("2024-06-30", "Pacific/Pago_Pago", now).isoformat() == "2024-07-01T10:59:59.999999+00:00"
    assert parse_moment("2024-06-30T23:00", "UTC", now).hour == 23
    for text, zone in (("2024-07-01", "UTC"), ("2024-07-01T00:00", "UTC"), ("2024-07-02", "Pacific/Kiritimati")):
        with pytest.raises(CapflowError, match="ahead of now"):
            parse_moment(text, zone, now)


def test_waiting_for_no_number_of_seconds_is_refused(home) -> None:
    began = time.monotonic()
    said = home.capflow("run", "cafe", "--wait", "nan")
    assert said.code == 2
    assert "--wait" in said.err
    assert time.monotonic() - began < 60


# -- green means something ---------------------------------------------------------------------------------------------


def test_what_is_absent_or_waits_is_no_green(home) -> None:
    assert verdict(home, "raw/bills", "schema")[0]
    assert verdict(home, "raw/users", "schema") == (False, "absent: the customer's TOML declares no [tables.users]")
    assert verdict(home, "models/campaign_response", "ready")[0] is False
    assert verdict(home, "predictions/campaign_response", "skew")[0] is False
    assert verdict(home, "health/campaign_response", "drift")[0] is False


# -- what fits on the screen -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_no_word_of_the_status_is_lost_or_cut_on_any_screen(home, width: int) -> None:
    out = called("status", "--details", "--home", str(home.root), COLUMNS=str(width)).out
    assert max(map(len, out.splitlines()[-30:])) <= width
    shown = " ".join(out.split())
    for word in ("reason", "scored users", "purchase_propensity", "never run", "not ready"):
        assert word in shown, (width, out)


def test_a_wide_table_becomes_records_and_a_narrow_one_stays_a_table(home) -> None:
    table = called("show", "raw/bills", "-c", "cafe", "--limit", "2", "--home", str(home.root), COLUMNS="120").out
    assert "┃ bill_id ┃" in table
    records = called("show", "raw/bills", "-c", "cafe", "--limit", "2", "--home", str(home.root), COLUMNS="60").out
    assert [line.split() for line in records.splitlines() if line.split()[:1] == ["bill_id"]] == [
        ["bill_id", "b0"],
        ["bill_id", "b1"],
    ]
    assert "60 rows, 7 users" in records
    assert max(map(len, records.splitlines())) <= 60


def test_a_written_file_is_reported_and_not_on_standard_output(home, tmp_path) -> None:
    said = home.capflow("show", "raw/bills", "-c", "cafe", "-o", str(tmp_path / "bills.csv"))
    assert (said.code, said.out) == (0, "")
    assert said.err.strip() == f"wrote 60 rows, raw/bills of cafe, to {tmp_path / 'bills.csv'}"


def test_the_version_and_the_defaults_can_be_read() -> None:
    assert called("--version").out.startswith("capflow 0.")
    assert "default: .capflow]" in " ".join(called("status", "--help", COLUMNS="200").out.split())
    assert "[default: newest bill]" in " ".join(called("run", "--help", COLUMNS="200").out.split())


# -- a TOML that comes in ----------------------------------------------------------------------------------------------


def test_bounds_of_a_model_are_reported_with_all_else(tmp_path) -> None:
    wrong = TOML.replace('currency = "EUR"', 'currency = "euro"').replace('amount = "total"', 'amount = "now()"')
    toml = sent(tmp_path / "files", wrong + "[models.rfm_segments]\nhorizon_days = 0\nhorizon = 3\n")
    said = TestHome(tmp_path / "home").capflow("onboard", str(toml))
    assert said.code == 1
    assert "has 4 problems" in said.err
    for words in ("three capital letters", "models.rfm_segments.horizon_days", "at least 1", "'horizon_days'?", "now"):
        assert words in said.err


def test_bounds_that_a_release_narrowed_stop_no_table(home, tmp_path) -> None:
    copy = home.copied(tmp_path / "home")
    toml = copy.root / "customers" / "cafe.toml"
    toml.write_text(toml.read_text() + "\n[models.rfm_segments]\nhorizon_days = 100000\n")
    assert "cafe" in copy.ok("status")


@pytest.mark.parametrize(
    ("vertical", "words"), [("fashoin", "did you mean 'fashion'?"), ("toys", "there are: "), ("fashion", "")]
)
def test_a_vertical_without_defaults_is_taken_and_reported(tmp_path, vertical: str, words: str) -> None:
    toml = sent(tmp_path / "files", TOML.replace("food_and_beverage", vertical))
    said = TestHome(tmp_path / "home").capflow("onboard", str(toml))
    assert said.code == 0
    assert words in said.err
    assert ("is new here" in said.err) is bool(words)
