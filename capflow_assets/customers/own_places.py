"""Sources of a customer that lie where the deployment keeps its own, and whether two places of files meet. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from capflow_assets.customers.customer import Customer
from capflow_assets.errors import CapflowError, CustomerError, SourceError


def refuse_own_places(customer: Customer, file: str, places: Collection[str]) -> None:
    """Refuse sources in the ``places`` where the deployment keeps its own: what other customers sent, above all.

    Symbolic links are followed; a folder or a glob that reaches into such a place counts as well.

    Raises:
        CustomerError: names every table that would be read from there.
    """
    problems: list[CapflowError] = []
    kept = [real_parts(place) for place in places]
    for origin in customer.origins():
        try:
            location = customer.located(origin.location)
        except SourceError:  # told when the table is read
            continue
        # An address without a host is that of a file: sqlite:////data/shop.db
        path = re.sub(r"^(?!s3:)[\w+.-]+:///+", "/", location)
        parts = real_parts(path)
        if any(overlap(parts, other) for other in kept):
            expected = "files of this customer, outside of what CapFlow keeps: that may be another customer's"
            do = "export the rows to a place of the customer's own"
            problems.append(CapflowError(f"{origin.key}.location", expected=expected, came=location, do=do))
    if problems:
        raise CustomerError.listing(file, problems)


def reaches(location: str, place: str) -> bool:
    """Whether a folder, file or glob is ``place`` (one of these as well), may lie in it or holds it.

    >>> reaches("/in/*/bills.csv", "/in/boots/*.csv"), reaches("/in", "/in/boots"), reaches("/in/a*.csv", "/in/b*.csv")
    (True, True, False)
    """
    return overlap(real_parts(location), real_parts(place))


def real_parts(place: str) -> tuple[str, ...]:
    """The parts of a place, links resolved."""
    return PurePosixPath(place if "://" in place else Path(place).resolve()).parts


def overlap(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether two places are one or hold one another, as far as their patterns tell."""
    pairs = zip(other, one, strict=False)
    return all(
        part == counterpart or fnmatchcase(part, counterpart) or fnmatchcase(counterpart, part)
        for part, counterpart in pairs
    )
