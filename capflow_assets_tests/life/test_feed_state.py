"""The feed of a customer's bills as of moments near and far."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from capflow_assets.life.feed_state import feed_state
from capflow_assets_tests.life.shop import AS_OF, SHOP, deployment


def test_a_feed_that_is_silent_for_longer_than_is_looked_at_is_stale(untrained: Path) -> None:
    """The newest bill of the shop is of 30 June 2024."""
    place = deployment(untrained)
    customer = place.customer(SHOP)
    feeds = [feed_state(place, customer, AS_OF + timedelta(days=days)) for days in (10, 58, 70, 113)]
    assert [feed and feed.days_old for feed in feeds] == [10, 58, 70, 113]
    assert [feed and feed.faults for feed in feeds] == [(), (), (), ("the newest bill is 113 days old",)]
    assert feed_state(place, customer, AS_OF - timedelta(days=365)) is None, "nothing has come yet"
