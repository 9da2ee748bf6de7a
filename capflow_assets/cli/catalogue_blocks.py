"""The feature catalogue on a screen: a page of blocks, each with its features and the models that read some of them.

Does not belong here: the columns of one block, which `capflow show features/BLOCK --catalogue` prints as any table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from capflow_assets.cli.terminal import console
from capflow_assets.errors import listed

INDENT, MOST_FEATURES, MOST_MODELS = 2, 12, 8


def print_blocks(rows: Sequence[Mapping[str, Any]], customer: str, limit: int | None = None) -> None:
    """Print the blocks of a catalogue's ``rows``, one for each feature with ``block``, ``feature`` and ``models``."""
    from rich.markup import escape
    from rich.padding import Padding

    screen = console()
    blocks = list(blocks_of(rows))
    for block, features, models in blocks[:limit]:
        readers = f"; read by {listed(models, most=MOST_MODELS)}" if models else ""
        screen.print(f"[bold]{escape(block)}[/], {len(features):,} features{escape(readers)}")
        screen.print(Padding(escape(listed(features, most=MOST_FEATURES)), (0, 0, 0, INDENT)), style="dim")
    shown = min(limit, len(blocks)) if limit is not None else len(blocks)
    screen.print(f"{shown:,} of {len(blocks):,} blocks, {len(rows):,} features of {escape(customer)}. To see one:")
    if blocks:
        screen.print(f"capflow show {blocks[0][0]} --catalogue --customer {escape(customer)}", soft_wrap=True)


def blocks_of(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, list[str], list[str]]]:
    """The blocks in the order of the rows: name, features, and the models that read some of these, by name.

    >>> list(blocks_of([{"block": "rfm", "feature": "visits", "models": "churn,winback"}]))
    [('features/rfm', ['visits'], ['churn', 'winback'])]
    """
    features: dict[str, list[str]] = {}
    models: dict[str, set[str]] = {}
    for row in rows:
        features.setdefault(row["block"], []).append(row["feature"])
        models.setdefault(row["block"], set()).update(filter(None, map(str.strip, (row["models"] or "").split(","))))
    return ((f"features/{block}", names, sorted(models[block])) for block, names in features.items())
