"""One customer cannot land another's files, whatever its location says and wherever its files lead."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from capflow_assets.errors import SourceError
from capflow_assets.paths import fence
from capflow_assets_tests.neighbours import (
    CANARY,
    Neighbours,
    refused,
    rows_of,
)

# -- what stays legitimate ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "location", ["bills.csv", "{spy}/bills.csv", "*.csv", "{spy}/*.csv", "./bills.csv", "../spy/bills.csv"]
)
def test_a_customers_own_files_land(both: Neighbours, location: str) -> None:
    assert both.onboard(location.format(spy=both.spy)) == ""
    assert both.land() == ""
    assert both.landed() == {"spys-own"}


def test_links_within_a_customers_own_folder_are_followed(both: Neighbours) -> None:
    (both.spy / "2024").mkdir()
    (both.spy / "bills.csv").rename(both.spy / "2024" / "may.csv")
    (both.spy / "current").symlink_to("2024")
    (both.spy / "bills.csv").symlink_to("current/may.csv")
    for location in ("bills.csv", "current", "current/*.csv", "current/may.csv"):
        assert both.onboard(location) == ""
        assert both.land() == ""
        assert both.landed() == {"spys-own"}


def test_a_folder_on_a_mount_is_read_through_the_link_that_stands_for_it(both: Neighbours, tmp_path: Path) -> None:
    (tmp_path / "mnt").symlink_to(both.folder / "exports")
    assert both.onboard(f"{tmp_path}/mnt/spy/bills.csv") == ""
    assert both.land() == ""


# -- what leads elsewhere ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "location",
    [
        "{ann}/bills.csv",
        "{ann}",
        "{ann}/*.csv",
        "{ann}/../ann/bills.csv",
        "../ann/bills.csv",
        "../*/bills.csv",
        "../a??/b*",
        "..",
        "{exports}",
        "{exports}/[a]nn/bills.csv",
        "{ann}//./bills.csv",
        "/proc/self/cwd{ann}/bills.csv",
        "/proc/self/root{ann}/bills.csv",
        "/proc/self/environ",
        "/dev/stdin",
        "/dev/fd/0",
        "{home}/customers/ann.toml",
        "{home}/customers",
        "{home}/keys",
        "{home}/dagster",
        "{home}/fleet",
        "{home}/mlflow.db",
        "{home}/capflow.toml",
        "{home}",
        "{home}/*/ann.toml",
        "{home}/lake/ann/raw/bills",
        "{home}/lake/*/raw/bills/*.parquet",
        "/",
        "/*/*",
    ],
)
def test_a_location_that_names_anothers_place_is_refused(both: Neighbours, location: str) -> None:
    places = {"ann": both.ann, "home": both.home.root, "exports": both.folder / "exports"}
    refused(both, location.format(**places))


@pytest.mark.parametrize(
    "spelling", ["file://{}", "file:{}", "FILE://{}", "~/{}", "{}%00", "%2e%2e/ann/bills.csv", "{}\0"]
)
def test_a_spelling_that_some_readers_know_opens_nothing(both: Neighbours, spelling: str) -> None:
    refused(
        both,
        spelling.format(both.ann / "bills.csv").replace("\0", "\\u0000")
        if "\0" in spelling
        else spelling.format(both.ann / "bills.csv"),
    )


LINKS = {
    "a file": ("bills.csv", "{ann}/bills.csv", "bills.csv"),
    "a file, relatively": ("bills.csv", "../ann/bills.csv", "bills.csv"),
    "a folder": ("in", "{ann}", "in"),
    "a folder above": ("up", "{exports}", "up/ann/bills.csv"),
    "a folder on the way": ("up", "{exports}", "up/ann"),
    "a file that a glob fits": ("more.csv", "{ann}/bills.csv", "*.csv"),
    "a folder that a glob fits": ("in", "{ann}", "*/bills.csv"),
    "the lake": ("in", "{home}/lake/ann/raw/bills", "in/*.parquet"),
    "a link to a link": ("in", "{spy}/hop", "in/bills.csv"),
    "the process": ("in", "/proc/self/root{ann}", "in/bills.csv"),
    "a file of the system": ("bills.csv", "/etc/passwd", "bills.csv"),
    "the customers": ("in", "{home}/customers", "in/ann.toml"),
}


@pytest.mark.parametrize("what", LINKS)
def test_a_link_that_leads_elsewhere_is_refused_when_it_is_opened(both: Neighbours, what: str) -> None:
    name, target, location = LINKS[what]
    (both.spy / "hop").symlink_to(both.ann)
    places = {"ann": both.ann, "home": both.home.root, "exports": both.folder / "exports", "spy": both.spy}
    (both.spy / name).unlink(missing_ok=True)
    (both.spy / name).symlink_to(target.format(**places))
    for source in ("parquet",) if "parquet" in location else ("csv", "json", "files", "excel"):
        both.drop(location, source)
        assert both.land(), f"{what} landed as {source}"


def test_a_folder_read_as_a_whole_leads_nowhere_else(both: Neighbours) -> None:
    (both.spy / "in").mkdir()
    (both.spy / "bills.csv").rename(both.spy / "in" / "bills.csv")
    (both.spy / "in" / "more").symlink_to(both.ann)
    assert "another customer's" in refused(both, "in")


def test_pictures_and_texts_are_judged_alike(both: Neighbours) -> None:
    (both.spy / "texts").mkdir()
    (both.spy / "texts" / "one.txt").symlink_to(both.ann / "bills.csv")
    both.drop("texts", "files", contents=True)
    both.land()
    both.drop("texts", "files", manifest="../../ann/bills.csv")
    assert both.land()


def test_pipes_and_devices_are_refused_and_not_waited_for(both: Neighbours) -> None:
    os.mkfifo(both.spy / "pipe.csv")
    for location in ("pipe.csv", "/dev/zero", "/dev/tty"):
        assert refused(both, location)
    (both.spy / "zero.csv").symlink_to("/dev/zero")
    assert "system's" in refused(both, "zero.csv")
    with pytest.raises(SourceError, match="no file"):
        fence.open_real(str(both.spy / "pipe.csv"))


# -- while links are swapped -------------------------------------------------------------------------------------------


def test_a_link_swapped_between_the_look_and_the_opening_leads_nowhere(both: Neighbours) -> None:
    """The file, or the folder above it, is a link to ann's for half of the time."""
    own = both.spy / "in"
    own.mkdir()
    (both.spy / "real").mkdir()
    (both.spy / "real" / "bills.csv").write_text(rows_of("spys-own"))
    stop = threading.Event()

    def swap() -> None:
        turn = 0
        while not stop.is_set():
            target = (both.ann, both.spy / "real")[turn % 2]
            spare = both.spy / f"spare{turn}"
            spare.symlink_to(target)
            spare.rename(both.spy / "current")
            turn += 1

    (both.spy / "current").symlink_to(both.spy / "real")
    limits = fence.Fence(base=str(both.spy), theirs=[fence.Place(str(both.ann / "bills.csv"))])
    swapping = threading.Thread(target=swap)
    swapping.start()
    outcomes: set[str] = set()
    try:
        for _ in range(2_000):
            path = str(both.spy / "current" / "bills.csv")
            try:
                with fence.within(limits):
                    real = fence.real_path(path, path)
                with fence.opened(real) as name:
                    outcomes.add("canary" if CANARY in Path(name).read_text() else "own")
            except (SourceError, OSError):
                outcomes.add("refused")
    finally:
        stop.set()
        swapping.join()
    assert outcomes == {"own", "refused"}


def test_what_was_judged_and_became_a_link_is_not_opened(both: Neighbours) -> None:
    path = both.spy / "bills.csv"
    real = fence.real_path(str(path), str(path))
    path.unlink()
    path.symlink_to(both.ann / "bills.csv")
    with pytest.raises(SourceError, match="has become a link"):
        fence.open_real(real)
    path.unlink()
    path.write_text("x")
    (both.folder / "exports" / "moved").symlink_to(both.ann)
    with pytest.raises(SourceError, match="has become a link"):
        fence.open_real(str(both.folder / "exports" / "moved" / "bills.csv"))
    (both.folder / "exports" / "moved").unlink()


# -- buckets -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["s3a", "S3", "s3n", "gs", "https", "hdfs", "abfss"])
@pytest.mark.parametrize("source", ["csv", "delta", "parquet"])
def test_other_schemes_are_refused_at_onboarding(both: Neighbours, scheme: str, source: str) -> None:
    assert "tables.bills.location" in both.onboard(f"{scheme}://bucket/lake/ann", source)
