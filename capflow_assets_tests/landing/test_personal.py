"""Personal data: hashed before it is written anywhere, the same within a customer, by a key of its own."""

from __future__ import annotations

import hashlib
import hmac
import json
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tomlkit

from capflow_assets.contract import Column, Table
from capflow_assets.customers.customer import parse_customer
from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.errors import CapflowError, CustomerError
from capflow_assets.home.keys import customer_key, destroy_key
from capflow_assets.home.places import Home
from capflow_assets.landing.canonical_rows import conform
from capflow_assets.landing.personal import hashed_columns, pseudonym, pseudonymized
from capflow_assets_doubles.landings import KEY, TABLES, Shop

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NAMES = ("card", "mail", "tel", "nick", "note")
USERS = {"user_id": "card", "email": "mail", "phone": "tel", "name": "nick", "note": "note"}
USER_TABLE = TABLES["users"]


@pytest.fixture
def shop(tmp_path: Path, spark: SparkSession) -> Shop:
    return Shop(tmp_path, spark)


@pytest.fixture(params=["spark", "jvm"])
def engine(request: pytest.FixtureRequest) -> SparkSession:
    session: SparkSession = request.getfixturevalue(request.param)
    return session


def everything(shop: Shop) -> str:
    """All that the lake holds, rows and files, as text."""
    tables = [shop.rows(table) for table in shop.lake.tables("shop")]
    files = [file.read_bytes() for file in (shop.folder / "lake").rglob("*") if file.is_file()]
    return json.dumps(tables, default=str) + "".join(content.decode("latin-1") for content in files)


# -- what is hashed --------------------------------------------------------------------------------------------------


def test_which_columns_are_hashed() -> None:
    mapped = ["user_id", "joined_at", "email", "last_name", "tier", "city"]
    assert hashed_columns(USER_TABLE, mapped) == ("email", "last_name")
    assert hashed_columns(USER_TABLE, mapped, ["city"], ["last_name"]) == ("email", "city")
    assert hashed_columns(TABLES["stores"], ["store_id", "name", "email"]) == ()
    assert hashed_columns(TABLES["items"], ["item_id", "name"]) == ()
    assert hashed_columns(TABLES["stores"], ["store_id", "manager"], ["manager"]) == ("manager",)
    columns = [Column(name, "string", "", personal=True) for name in ("tax_number", "user_id")]
    declared = Table(grain="g", columns=tuple(columns))
    assert hashed_columns(declared, ["tax_number", "user_id"]) == ("tax_number",)


def test_hashes_stay_equal_within_a_customer_and_differ_between_keys(engine: SparkSession) -> None:
    rows = [("1", "Ann@x.org", "Ä"), ("2", " ann@X.org ", "ä"), ("3", None, " ")]
    frame = engine.createDataFrame(rows, "card string, mail string, nick string")
    mapping = {"user_id": "card", "email": "mail", "name": "nick"}
    hashed = ("email", "name")
    conformed = conform(frame, USER_TABLE, mapping, zone="UTC", personal=hashed)
    hashed_rows = pseudonymized(conformed, hashed, ["mail", "nick"], KEY).orderBy("user_id").collect()
    expected = hmac.new(KEY, b"ann@x.org", hashlib.sha256).hexdigest()
    assert [row.email for row in hashed_rows] == [expected, expected, None]
    assert hashed_rows[0].name == hmac.new(KEY, "Ä".encode(), hashlib.sha256).hexdigest()
    assert hashed_rows[0].name != hashed_rows[1].name
    assert hashed_rows[2].name is None
    assert [row.user_id for row in hashed_rows] == ["1", "2", "3"]
    assert pseudonym("ann@x.org", b"another") != expected


def test_nothing_is_left_in_clear(shop: Shop) -> None:
    rows = [
        ("1", "ann@example.org", "+44 20 7946 0958", "Annabel", "gold"),
        ("", "bob@example.org", "+44 20 7946 0111", "Bobby", "x"),
        ("3", "carl@example.org", "+44 20 7946 0222", "Carlos"),
        ("4", "dora@example.org", "+44 20 7946 0333", "Dorothea", "silver", "more"),
    ]
    shop.sends("users", NAMES, rows)
    result = shop.landed("users", columns=USERS)
    assert result.counts == {"came": 4, "rejected": 2, "guests": 1}
    held = everything(shop) + repr(result)
    for secret in ("example.org", "7946", "Annabel", "Bobby", "Carlos", "Dorothea"):
        assert secret not in held
    (row,) = shop.rows("raw/users")
    assert (row["user_id"], row["note"]) == ("1", "gold")
    assert row["email"] == pseudonym("ann@example.org", KEY)
    rejected = {
        rejection["rejected_because"]: json.loads(rejection["source_row"])
        for rejection in shop.rows("raw/users_rejected")
    }
    assert rejected["guest: no user stands on the row"] == {
        "card": None,
        "mail": pseudonym("bob@example.org", KEY),
        "tel": pseudonym("+44 20 7946 0111", KEY),
        "nick": pseudonym("Bobby", KEY),
        "note": "x",
    }
    unfit = rejected["the row has 4 values, not 5: (not shown)"]
    # Where the row fits no columns, any of them may hold what is personal.
    assert unfit["card"] == pseudonym("3", KEY)


def test_a_reason_does_not_show_a_personal_value(spark: SparkSession) -> None:
    iban = Column("iban", "string", "", matches="[A-Z0-9]+", personal=True)
    table = Table(grain="g", columns=(iban, Column("n", "int", "")))
    frame = spark.createDataFrame([("de 12", "x")], "iban string, n string")
    (row,) = conform(frame, table, {"iban": "iban", "n": "n"}, zone="UTC", personal=("iban",)).collect()
    assert row.rejected_because == "iban: (not shown) does not match [A-Z0-9]+; n: 'x' is not an int"


def test_what_is_said_to_be_plain_stays(shop: Shop) -> None:
    shop.sends("users", NAMES, [("1", "a@b.cd", "1", "Crew 7", "x")])
    shop.landed("users", columns=USERS, plain=["name"], personal=["note"])
    (row,) = shop.rows("raw/users")
    assert (row["name"], row["note"]) == ("Crew 7", pseudonym("x", KEY))


def test_another_key_lands_everything_again(shop: Shop) -> None:
    how: dict[str, Any] = {"columns": {"user_id": "card", "email": "mail"}, "watermark": "note"}
    shop.sends("users", NAMES, [("1", "a@b.cd", "1", "n", 1)])
    shop.landed("users", **how)
    assert "in another way" in shop.landed("users", **how, key=b"another key").how
    assert shop.rows("raw/users")[0]["email"] == pseudonym("a@b.cd", b"another key")


def test_no_key_is_asked_for_where_nothing_is_hashed(shop: Shop) -> None:
    shop.sends("items", ("no", "name"), [("1", "Tea")])
    shop.landed("items", columns={"item_id": "no", "name": "name"}, key=None)  # type: ignore[arg-type]


# -- keys ------------------------------------------------------------------------------------------------------------


def test_a_key_is_made_once_and_kept_to_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CAPFLOW_PERSONAL_KEY", raising=False)
    home = Home.of(tmp_path / "home", {})
    key = customer_key(home, "shop")
    assert (len(key), key) == (32, customer_key(home, "shop"))
    assert customer_key(home, "shop2") != key
    file = home.root / "keys" / "shop"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sorted(path.name for path in file.parent.iterdir()) == ["shop", "shop2"]
    assert destroy_key(home, "shop")
    assert not destroy_key(home, "shop")
    assert customer_key(home, "shop") != key
    file.write_bytes(b"short")
    with pytest.raises(CapflowError, match="That is no key"):
        customer_key(home, "shop")


def test_keys_of_one_secret_differ_between_customers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home.of(tmp_path / "home", {})
    monkeypatch.setenv("CAPFLOW_PERSONAL_KEY", "0123456789abcdef-secret")
    assert customer_key(home, "a") == customer_key(Home.of(tmp_path / "elsewhere", {}), "a")
    assert customer_key(home, "a") != customer_key(home, "b")
    assert not (home.root / "keys").exists()
    monkeypatch.setenv("CAPFLOW_PERSONAL_KEY", "hunter2")
    with pytest.raises(CapflowError) as caught:
        customer_key(home, "a")
    assert "hunter2" not in str(caught.value)


def test_no_key_is_made_on_a_cluster_which_would_lose_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CAPFLOW_PERSONAL_KEY", raising=False)
    home = Home.of(tmp_path / "home", {"CAPFLOW_ENGINE": "cluster"})
    with pytest.raises(CapflowError, match="CAPFLOW_PERSONAL_KEY, the same for every run"):
        customer_key(home, "shop")


# -- what the TOML may say -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ('personal = ["emial"]', ["tables.users.personal.", "did you mean 'email'?"]),
        ('personal = ["partner_id"]', ["tables.users.personal.", "capflow forget"]),
        ('personal = ["joined_at"]', ["tables.users.personal.", "columns of text"]),
        ('personal = ["email"]\nplain = ["email"]', ["tables.users.plain.", "none of personal"]),
        ("personal = 3", ["tables.users.personal."]),
    ],
)
def test_what_is_wrong_about_personal_columns(more: str, words: list[str]) -> None:
    text = 'name = "shop"\nvertical = "x"\ncurrency = "EUR"\ntime_zone = "UTC"\nbase = "/x"\n'
    text += f'[tables.users]\nsource = "csv"\nlocation = "x"\n{more}\n[tables.users.columns]\n'
    text += 'user_id = "card"\nemail = "mail"\njoined_at = "at"\npartner_id = "p"\n'
    with pytest.raises(CustomerError) as caught:
        parse_customer(text, "shop.toml", TABLES, SOURCES)
    for word in words:
        assert word in str(caught.value)


# -- users who are forgotten -----------------------------------------------------------------------------------------


def test_a_forgotten_user_does_not_land_again(shop: Shop) -> None:
    from capflow_assets.tables.suppression import digest, remember

    shop.sends("users", ("card", "mail"), [("1", "a@b.cd"), ("2", "b@b.cd")])
    columns = {"user_id": "card", "email": "mail"}
    shop.landed("users", columns=columns)
    remember(shop.lake, "shop", "user", [digest(KEY, "user", "1")])
    shop.landed("users", columns=columns)
    assert [row["user_id"] for row in shop.rows("raw/users")] == ["2"]


# -- ids that are hashed ---------------------------------------------------------------------------------------------


def test_users_that_are_hashed_are_the_same_in_all_tables_and_follow_from_the_key(shop: Shop) -> None:
    at = "2024-01-01 10:00:00"
    shop.sends("users", ("mail",), [("Ann@example.com",), ("bob@example.com",)])
    shop.sends(
        "bills", ("id", "at", "total", "mail"), [(1, at, 5, " ann@example.com"), (2, at, "x", "bob@example.com")]
    )
    mapping = {"bill_id": "id", "billed_at": "at", "amount": "total", "user_id": "mail"}
    shop.landed("users", columns={"user_id": "mail"}, personal=["user_id"])
    shop.landed("bills", columns=mapping, personal=["user_id"])
    ann = pseudonym("ann@example.com", KEY)
    assert ann == hmac.digest(KEY, b"ann@example.com", hashlib.sha256).hex()
    assert [row["user_id"] for row in shop.rows("raw/bills")] == [ann]
    assert ann in {row["user_id"] for row in shop.rows("raw/users")}
    (rejected,) = shop.rows("raw/bills_rejected")
    assert json.loads(rejected["source_row"])["user_id"] == pseudonym("bob@example.com", KEY)
    assert "example.com" not in everything(shop)


def test_a_user_that_is_hashed_is_forgotten_by_the_id_that_the_source_sends(shop: Shop) -> None:
    """Whatever the mapping makes of it, in what landed and in what did not, and when the source sends it again."""
    from capflow_assets.erasure.erased_rows import UserRows
    from capflow_assets.erasure.unknown_ids import strangers
    from capflow_assets.tables.suppression import digest, remember

    at = "2024-01-01 10:00:00"
    shop.sends("bills", ("id", "at", "total", "card"), [(1, at, 5, "u1"), (2, at, 6, "u2"), (3, at, "x", "u1")])
    mapping = {"bill_id": "id", "billed_at": "at", "amount": "total", "user_id": "concat('U', card)"}
    shop.landed("bills", columns=mapping, personal=["user_id"])
    text = tomlkit.dumps(
        {"name": "shop", "vertical": "x", "currency": "EUR", "time_zone": "UTC", "base": str(shop.folder)}
        | {"tables": {"bills": {"source": "csv", "location": "bills.csv", "columns": mapping, "personal": ["user_id"]}}}
    )
    rows = UserRows(shop.lake, STAGES, parse_customer(text, "shop.toml", TABLES, SOURCES), KEY)
    traces = rows.traces("Uu1")
    assert traces.is_known
    assert strangers(rows, ["Uu1", "Uu3"]) == ["Uu3"]
    remember(shop.lake, "shop", "user", [digest(KEY, "user", "Uu1")])
    removed = [rows.delete(traces, of_nobody) for of_nobody in (True, False)]
    assert removed[1] == {"raw/bills": 1, "raw/bills_rejected": 1}
    assert not rows.traces("Uu1").is_known
    result = shop.landed("bills", columns=mapping, personal=["user_id"])
    assert dict(result.counts) == {"came": 1, "forgotten": 2}
    assert [row["bill_id"] for row in shop.rows("raw/bills")] == ["2"]


def test_an_address_that_is_hashed_is_forgotten_in_any_case_and_words_for_nobody_stay(shop: Shop) -> None:
    from capflow_assets.tables.suppression import digests_of_user, remember

    at = "2024-01-01 10:00:00"
    sent = [(1, at, 5, "ann@x.org"), (2, at, 6, "ANN@x.org "), (3, at, 7, "bob@x.org"), (4, at, 8, "N/A")]
    shop.sends("bills", ("id", "at", "total", "card"), sent)
    remember(shop.lake, "shop", "user", digests_of_user(KEY, "Ann@x.org", True))
    mapping = {"bill_id": "id", "billed_at": "at", "amount": "total", "user_id": "card"}
    result = shop.landed("bills", columns=mapping, personal=["user_id"])
    assert result.counts["forgotten"] == 2
    assert {row["user_id"] for row in shop.rows("raw/bills")} == {pseudonym("bob@x.org", KEY), "N/A"}


def test_users_are_hashed_in_all_tables_or_in_none() -> None:
    tables = {
        "users": {"source": "csv", "location": "u.csv", "columns": {"user_id": "card"}, "personal": ["user_id"]},
        "bills": {
            "source": "csv",
            "location": "b.csv",
            "columns": {"bill_id": "id", "billed_at": "at", "amount": "total", "user_id": "card"},
        },
    }
    head = {"name": "shop", "vertical": "x", "currency": "EUR", "time_zone": "UTC", "base": "/data"}
    with pytest.raises(CustomerError, match=r"(?s)tables\.bills\.personal.*as in users"):
        parse_customer(tomlkit.dumps(head | {"tables": tables}), "shop.toml", TABLES, SOURCES)
    del tables["bills"]["columns"]["user_id"]  # type: ignore[attr-defined]
    parse_customer(tomlkit.dumps(head | {"tables": tables}), "shop.toml", TABLES, SOURCES)


def test_hashing_the_ids_of_an_existing_table_reads_everything_and_says_so(shop: Shop) -> None:
    shop.sends("users", ("card", "changed"), [("U1", 1), ("U2", 2)])
    mapping = {"user_id": "card"}
    shop.landed("users", columns=mapping, watermark="changed")
    result = shop.landed("users", columns=mapping, watermark="changed", personal=["user_id"])
    assert "in another way than before" in result.how
    assert {row["user_id"] for row in shop.rows("raw/users")} == {pseudonym(user, KEY) for user in ("U1", "U2")}
