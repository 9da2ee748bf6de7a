"""Pictures that name an item which is not on the list are counted and shown; those that name none are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capflow_assets.raw.items import TABLE as ITEMS
from capflow_assets.raw.media import TABLE as MEDIA
from capflow_assets.validation.pictured_items import pictured_items
from capflow_assets_doubles.engines import frame_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LISTED = [{"item_id": "a"}, {"item_id": "b"}]


def shown(name: str, item: str | None, kind: str = "image") -> dict[str, object]:
    return {"media_id": name, "path": f"/{name}", "kind": kind, "sha256": name, "item_id": item}


def test_pictures_of_items_that_are_not_listed_are_counted_and_shown(spark: SparkSession) -> None:
    media = [shown("1", "a"), shown("2", " b "), shown("3", "gone"), shown("4", None), shown("5", "gone", "audio")]
    frames = frame_of(spark, MEDIA, media), frame_of(spark, ITEMS, LISTED)
    finding = pictured_items(*frames)
    assert not finding.passed
    assert dict(finding.found) == {"pictures": 3, "unknown": 1, "share_pct": 100 / 3}
    assert finding.sample == ({"media_id": "3", "item_id": "gone"},)
    assert "1 of 3 pictures (33.33 %)" in finding.message
    assert pictured_items(*frames, at_most_share_pct=40).passed


def test_without_pictures_there_is_nothing_to_complain_of(spark: SparkSession) -> None:
    finding = pictured_items(frame_of(spark, MEDIA, [shown("4", None)]), frame_of(spark, ITEMS, LISTED))
    assert finding.passed
    assert finding.found["pictures"] == 0
