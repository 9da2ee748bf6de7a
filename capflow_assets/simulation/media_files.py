"""The files of a world that are no tables, below the customer's folder, and what its TOML says of them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from capflow_assets.simulation.pictures import picture, pictured
from capflow_assets.simulation.recordings import labels, recordings, sound

if TYPE_CHECKING:
    from capflow_assets.simulation.world import World

MANIFEST = "calls.csv"


def write_media(world: World, folder: Path, upto: datetime | None) -> dict[str, Any] | None:
    """Write pictures and recordings, those made by ``upto``; the entry of the table ``media``, None without any.

    Pictures alone lie in a folder of their own; recordings bring a list of who called, when and what for.
    """
    items = frozenset(pictured(world.brand, world.items))
    calls = recordings(world.brand, world.users)
    if upto is not None and len(calls):
        calls = calls[calls["recorded_at"] <= upto]
    place = folder / ("media" if len(calls) else "pictures")
    columns = ["path", "kind", "media_type", "size_bytes", "sha256"]
    options: dict[str, Any] = {}
    if items:
        _draw(world, place / "pictures" if len(calls) else place, items)
        columns, options = [*columns, "item_id"], {"link": r"(?P<item_id>[^/]+)\.png$"}
    if len(calls):
        _record(world, place, calls)
        columns, options = [*columns, "user_id", "intent"], {**options, "manifest": MANIFEST}
    if not items and not len(calls):
        return None
    mapped = {"media_id": "relative_path", **{name: name for name in columns}}
    mapped |= {"modified_at": "recorded_at"} if len(calls) else {}
    return {
        "source": "files",
        "location": place.name,
        **({"options": options} if options else {}),
        "columns": mapped,
    }


def _draw(world: World, place: Path, items: frozenset[str]) -> None:
    place.mkdir(parents=True, exist_ok=True)
    for row in world.truth.items.to_dict("records"):
        if row["item_id"] in items:
            (place / f"{row['item_id']}.png").write_bytes(picture(world.brand, row))


def _record(world: World, place: Path, calls: Any) -> None:
    for row in calls.to_dict("records"):
        path = place / row["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sound(world.brand, row))
    listed = calls.assign(
        intent=labels(world.brand, calls), recorded_at=calls["recorded_at"].map(lambda at: at.isoformat())
    )
    listed[["path", "user_id", "intent", "recorded_at"]].to_csv(place / MANIFEST, index=False)
