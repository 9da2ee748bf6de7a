"""What a customer may read as the deployment says, and what belongs to others because their TOMLs name it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from capflow_assets.errors import CustomerError, SourceError
from capflow_assets.home import fences
from capflow_assets.home.places import Home
from capflow_assets.paths import fence
from capflow_assets_doubles.homes import TestHome
from capflow_assets_tests.neighbours import CANARY, Neighbours, customer_of, rows_of, toml_of


def test_roots_of_the_deployment_bound_what_a_customer_reads(both: Neighbours, tmp_path: Path) -> None:
    exports = both.folder / "exports"
    both.settle(f'[sources]\nroots = ["{exports}/{{customer}}", "{tmp_path}/shared"]\n')
    assert both.onboard("bills.csv") == ""
    assert both.land() == ""
    (tmp_path / "shared").mkdir()
    (tmp_path / "alone").mkdir()
    for folder in ("shared", "alone"):
        (tmp_path / folder / "bills.csv").write_text(rows_of(folder))
    assert both.onboard(f"{tmp_path}/shared/bills.csv") == ""
    assert both.land() == ""
    assert both.landed() == {"shared"}
    both.drop(f"{tmp_path}/alone/bills.csv")
    assert "outside of the customer's folders" in both.land()
    both.drop(str(both.ann / "bills.csv"))
    assert "may not read" in both.land()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[sources]\nroot = []\n", "did you mean 'roots'"),
        ("[sources]\nroots = ['relative']\n", "an absolute folder"),
        ("nonsense", "no TOML"),
        ("[sources]\nroots = 1", "a list, such as"),
        ("[sources]\nroots = ['/exports/{costumer}']", "no name in braces but {customer}"),
        ("[sources]\nsecrets = ['{customer}_*']", "no name in braces but {CUSTOMER}"),
        ("roots = ['/exports']", "move it there"),
    ],
)
def test_settings_that_are_wrong_are_reported_and_nothing_lands(both: Neighbours, text: str, words: str) -> None:
    assert both.onboard("bills.csv") == ""
    both.settle(text)
    refusal = both.land()
    assert "capflow.toml" in refusal
    assert words in refusal


@pytest.mark.parametrize(
    "theirs", ["s3://exports/ann", "s3://exports/ann/", "s3://exports/*/bills.csv", "s3://exports"]
)
def test_anothers_folder_in_a_bucket_is_hers(tmp_path: Path, theirs: str) -> None:
    home = Home.of(tmp_path, {})
    home.customers.mkdir(parents=True)
    (home.customers / "ann.toml").write_text(toml_of("ann", theirs))
    limits = fences.fence_of(home, customer_of("csv", "s3://exports/spy/bills.csv"))
    for spelling in ("ann/bills.csv", "/ann//bills.csv", "%61nn/bills.csv", "./ann/bills.csv"):
        address = f"s3://exports/{spelling}"
        with fence.within(limits), pytest.raises(SourceError, match="another customer's"):
            fence.address(address, address)
        with pytest.raises(CustomerError, match="no other customer's TOML names"):
            fences.refuse(home, customer_of("csv", address), tmp_path / "spy.toml")
    with fence.within(limits):
        assert fence.address("s3://elsewhere/spy/bills.csv", "s3://elsewhere/spy/bills.csv")


def test_who_is_outside_of_the_roots_does_not_come_in(both: Neighbours, tmp_path: Path) -> None:
    both.settle(f'[sources]\nroots = ["{both.folder}/exports/{{customer}}"]\n')
    refusal = both.onboard(f"{tmp_path}/alone/bills.csv")
    assert f"files below {both.spy}" in refusal
    assert "[sources] roots" in refusal
    assert both.onboard("2024-*/bills.csv") == ""


def test_what_else_lies_in_anothers_folder_is_hers(both: Neighbours) -> None:
    last_year = both.ann / "2023.csv"
    last_year.write_text(rows_of(CANARY))
    try:
        assert "outside of the folder of its files" in both.onboard(str(last_year))
        both.drop(str(last_year))
        assert "another customer's" in both.land()
        assert both.stolen() == []
        both.settle(f'[sources]\nroots = ["{both.folder}/exports"]\n')
        last_year.write_text(rows_of("of-both"))
        assert both.land() == ""
    finally:
        last_year.unlink()


def test_customers_whose_tomls_lie_in_one_folder_share_it(tmp_path: Path) -> None:
    home = TestHome(tmp_path / "home")
    for name in ("one", "two"):
        (tmp_path / f"{name}.csv").write_text(rows_of(name))
        (tmp_path / f"{name}.toml").write_text(toml_of(name, f"{name}.csv"))
        home.ok("onboard", str(tmp_path / f"{name}.toml"))
    two = customer_of("csv", "two.csv").model_copy(update={"name": "two", "base": str(tmp_path)})
    limits = fences.fence_of(Home.of(home.root, {}), two)
    limits.refuse(str(tmp_path / "two-of-2023.csv"), str(tmp_path / "two-of-2023.csv"))
    with pytest.raises(SourceError, match="another customer's"):
        limits.refuse(str(tmp_path / "one.csv"), str(tmp_path / "one.csv"))


@pytest.mark.parametrize("theirs", ["exports/ann/bills-*.csv", "exports/ann", "exports/ann/bills.csv"])
def test_beside_anothers_folder_there_is_room(tmp_path: Path, theirs: str) -> None:
    home = TestHome(tmp_path / "home")
    for name in ("ann", "spy"):
        (tmp_path / "exports" / name).mkdir(parents=True)
        (tmp_path / "exports" / name / "bills.csv").write_text(rows_of(name))
    (tmp_path / "exports" / "ann" / "bills-2.csv").write_text(rows_of("ann"))
    for name, location in (("ann", theirs), ("spy", "exports/spy/bills.csv")):
        (tmp_path / f"{name}.toml").write_text(toml_of(name, location))
        home.ok("onboard", str(tmp_path / f"{name}.toml"))
    (tmp_path / "other.toml").write_text(toml_of("other", "exports/ann/2023.csv"))
    refusal = home.capflow("onboard", str(tmp_path / "other.toml")).err
    assert "exports/ann/2023.csv; " in refusal
    assert " is of ann" in refusal


def test_whose_files_lie_in_a_folder_already_is_not_shut_out_by_who_comes_later(tmp_path: Path) -> None:
    home = TestHome(tmp_path / "home")
    (tmp_path / "exports" / "ann").mkdir(parents=True)
    for name, location in (("ann", "exports/ann/bills.csv"), ("spy", "exports/spy.csv")):
        (tmp_path / location).write_text(rows_of(name))
        (tmp_path / f"{name}.toml").write_text(toml_of(name, location))
        home.ok("onboard", str(tmp_path / f"{name}.toml"))
    (tmp_path / "ann.toml").write_text(toml_of("ann", "exports/ann/bills.csv") + "\n# as before\n")
    said = home.capflow("onboard", str(tmp_path / "ann.toml"), "--replace")
    assert said.code == 0, said.err
    assert "took the place of the TOML of ann" in said.err + said.out


def test_a_toml_that_was_replaced_is_read_anew(both: Neighbours) -> None:
    home, spy = Home.of(both.home.root, {}), customer_of("csv", "bills.csv")
    moved = both.folder / "moved" / "bills.csv"
    before = fences.fence_of(home, spy)
    toml = both.ann / "ann.toml"
    try:
        toml.write_text(toml_of("ann", str(moved)))
        both.home.ok("onboard", str(toml), "--replace")
        with pytest.raises(SourceError, match="another customer's"):
            fences.fence_of(home, spy).refuse(str(moved), str(moved))
        before.refuse(str(moved), str(moved))
    finally:
        toml.write_text(toml_of("ann", "bills.csv"))
        both.home.ok("onboard", str(toml), "--replace")


def test_who_was_here_first_keeps_what_both_name(both: Neighbours) -> None:
    assert "no other customer's TOML" in both.onboard(str(both.ann / "bills.csv"))
    both.drop(str(both.ann / "bills.csv"))
    assert "another customer's" in both.land()
    assert both.home.capflow("run", "ann", "--select", "raw/bills").code == 0


def test_a_customer_whose_folder_lies_in_the_home_reads_that_alone(both: Neighbours) -> None:
    inside, other = both.home.root / "sources" / "spy", both.home.root / "sources" / "other"
    for folder in (inside, other, both.home.root / "backup"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "bills.csv").write_text(rows_of("spys-own" if folder == inside else CANARY))
    both.drop("bills.csv")
    dropped = both.home.root / "customers" / "spy.toml"
    dropped.write_text(dropped.read_text().replace(str(both.spy), str(inside)))
    assert both.land() == ""
    for location in ("../../backup/bills.csv", "../../lake/ann/raw/bills", "../../*/bills.csv", "../../customers"):
        dropped.write_text(dropped.read_text().replace("bills.csv", location, 1))
        assert "CapFlow keeps" in both.land()
        dropped.write_text(dropped.read_text().replace(location, "bills.csv", 1))
    (inside / "bills.csv").unlink()
    (inside / "bills.csv").symlink_to(other / "bills.csv")
    assert "may not read" in both.land()


def test_a_copy_that_somebody_kept_takes_nothing_from_its_customer(both: Neighbours) -> None:
    kept = both.home.root / "customers" / "ann-before.toml"
    kept.write_text((both.home.root / "customers" / "ann.toml").read_text())
    os.utime(kept, (0, 0))
    try:
        assert both.home.capflow("run", "ann", "--select", "raw/bills").code == 0
    finally:
        kept.unlink()
