"""Cards of a customer's models: of every version what its training decided, and its pictures, beside each other.

    plots/models.{model}.v{version}.json, .{picture}.png

A version's files are its own, so that what was not promoted can be looked at as long as what was. Whoever may write a
customer's prefix may change them: what is no card, and what is larger than a picture here can be, is not shown.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import Any

from capflow_assets.customers.customer import Customer
from capflow_assets.pages.wording import moment
from capflow_assets.stores.lake import Lake
from capflow_assets.stores.places import files_below

FOLDER = "plots"
CARD = re.compile(r"models\.(?P<model>[a-z][a-z0-9_]*)\.v(?P<version>\d+)\.json")
PICTURE = re.compile(r"\w+\.png")
# Pictures have at most 40 kB (``plots.png``), and cards less.
LARGEST_BYTES = 200_000
# Of each model so many versions are shown with their pictures, and the others named.
SHOWN_VERSIONS = 3


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One version of a model, as its training decided; ``pictures`` are the names of its plots."""

    model: str
    version: int
    question: str
    as_of: str
    status: str
    reason: str
    metric: str
    score: str
    baseline: str
    pictures: tuple[str, ...] = ()


def keep_card(lake: Lake, customer: str, card: ModelCard, pictures: Mapping[str, bytes]) -> dict[str, str]:
    """Keep a version's card and its pictures (by file name), and give the pictures' places by name.

    >>> _file("churn", 3, "holdout.png")
    'plots/models.churn.v3.holdout.png'
    """
    places = {
        name: lake.save_bytes(customer, _file(card.model, card.version, name), content)
        for name, content in pictures.items()
    }
    content = json.dumps(asdict(card) | {"pictures": list(pictures)}, indent=1).encode()
    lake.save_bytes(customer, _file(card.model, card.version, "json"), content)
    # Where earlier releases kept the picture of the last training.
    lake.remove_file(customer, f"{FOLDER}/models.{card.model}.png")
    return places


def cards(lake: Lake, customer: str) -> list[ModelCard]:
    """The cards that are kept of a customer, by model, the newest version first."""
    place = lake.in_place(f"{lake.prefix(customer)}/{FOLDER}")
    named = [
        (match["model"], int(match["version"]))
        for info in files_below(place)
        if info.size <= LARGEST_BYTES and (match := CARD.fullmatch(info.base_name))
    ]
    ordered = sorted(named, key=lambda one: (one[0], -one[1]))
    return [card for model, version in ordered if (card := _read(lake, customer, model, version))]


def shown(lake: Lake, customer: Customer) -> list[dict[str, Any]]:
    """What a customer's page shows of its models: the newest versions with pictures; the earlier ones in words."""
    models = []
    for name, group in groupby(cards(lake, customer.name), lambda card: card.model):
        versions = list(group)
        newest = [
            {
                "card": card,
                "as_of": moment(datetime.fromisoformat(card.as_of), customer.time_zone),
                "pictures": list(_pictures(lake, customer.name, card)),
            }
            for card in versions[:SHOWN_VERSIONS]
        ]
        earlier = _earlier(customer.name, versions[SHOWN_VERSIONS:])
        models.append({"name": name, "question": versions[0].question, "versions": newest, "earlier": earlier})
    return models


def _earlier(customer: str, versions: Sequence[ModelCard]) -> str:
    """The versions that are not shown, in words, and how to see them; empty where there are none."""
    if not versions:
        return ""
    words = ", ".join(f"version {card.version} {card.status}" for card in versions)
    return f"{words}; capflow explain {customer} {versions[0].model} --version {versions[0].version}"


def _pictures(lake: Lake, customer: str, card: ModelCard) -> Iterator[dict[str, str]]:
    """The pictures of a version, each with its name and as an address that holds it whole."""
    for name in card.pictures:
        content = lake.read_bytes(customer, _file(card.model, card.version, name), LARGEST_BYTES)
        if content is not None:
            data = base64.b64encode(content).decode()
            yield {"name": name.removesuffix(".png").replace("_", " "), "data": f"data:image/png;base64,{data}"}


def _read(lake: Lake, customer: str, model: str, version: int) -> ModelCard | None:
    """A version's card; None where the file is none, or another's."""
    content = lake.read_bytes(customer, _file(model, version, "json"), LARGEST_BYTES)
    try:
        card = ModelCard(**json.loads(content or b"null"))
        datetime.fromisoformat(card.as_of)
    except (ValueError, TypeError, RecursionError):
        return None
    if (card.model, card.version) != (model, version) or not isinstance(card.pictures, list):
        return None
    pictures = tuple(name for name in card.pictures if isinstance(name, str) and PICTURE.fullmatch(name))
    return replace(card, pictures=pictures)


def _file(model: str, version: int, name: str) -> str:
    return f"{FOLDER}/models.{model}.v{version}.{name}"
