"""What a fence lets be opened of a bucket."""

from __future__ import annotations

import pytest

from capflow_assets.errors import SourceError
from capflow_assets.paths import fence


@pytest.mark.parametrize(
    "location",
    [
        "s3://bucket/lake/ann/raw/bills/x.csv",
        "s3://bucket//lake/ann/x.csv",
        "s3://bucket/./lake/ann/x.csv",
        "s3://bucket/%6cake/ann/x.csv",
        "s3://bucket/%256cake/ann/x.csv",
        "s3://bucket/lake%2fann/x.csv",
        "s3://bucket/lake/ann?versionId=1",
        "s3://bucket/lake/ann#x",
        "s3://bucket/x/../lake/ann",
        "s3://bucket/x/%2e%2e/lake/ann",
        "s3://Bucket/lake/ann",
        "s3://arn:aws:s3:eu-west-1:123456789012:accesspoint/mine/lake/ann",
        "s3://mine-abcdefgh-s3alias/lake/ann",
        "s3://b%75cket/lake/ann",
    ],
)
def test_the_lakes_bucket_is_refused_in_every_spelling(location: str) -> None:
    with fence.within(fence.Fence(kept=["s3://bucket/lake"])), pytest.raises(SourceError, match="may not read that"):
        fence.address(location, location)


@pytest.mark.parametrize(
    "location", ["s3://bucket/lake_of_files/x.csv", "s3://other/lake/ann", "s3://bucket/exports/a b+c.csv"]
)
def test_other_places_of_a_bucket_are_fine(location: str) -> None:
    with fence.within(fence.Fence(kept=["s3://bucket/lake"])):
        assert fence.address(location, location) == location
