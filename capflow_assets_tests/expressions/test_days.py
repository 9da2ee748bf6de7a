"""Local days and how long ago they are, on both engines; what is right is written down by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from pyspark.sql import functions as F
from pyspark.sql import types as T

from capflow_assets.expressions.days import local_day, local_day_of, local_time, within
from capflow_assets_tests.engines import rows_of

# On 31 March 2024 clocks in Madrid went from 2 to 3, on 27 October from 3 to 2.
DAYS = {
    ("2024-03-30T22:59:59", "Europe/Madrid"): (date(2024, 3, 30), 23),
    ("2024-03-30T23:00:00", "Europe/Madrid"): (date(2024, 3, 31), 0),
    ("2024-03-31T01:30:00", "Europe/Madrid"): (date(2024, 3, 31), 3),
    ("2024-10-27T22:30:00", "Europe/Madrid"): (date(2024, 10, 27), 23),
    ("2024-06-30T00:00:00", "America/New_York"): (date(2024, 6, 29), 20),
    ("2024-02-28T18:20:00", "Asia/Kathmandu"): (date(2024, 2, 29), 0),
}


@pytest.mark.parametrize("engine", ["spark", "jvm"])
@pytest.mark.parametrize(("text", "zone"), DAYS)
def test_a_time_falls_on_a_day_of_the_customers_own(
    request: pytest.FixtureRequest, engine: str, text: str, zone: str
) -> None:
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    assert local_day_of(moment, zone) == DAYS[text, zone][0]
    schema = T.StructType([T.StructField("at", T.TimestampType())])
    frame = request.getfixturevalue(engine).createDataFrame([(moment,)], schema)
    made = frame.select(local_day("at", zone).alias("day"), F.hour(local_time(F.col("at"), zone)).alias("hour"))
    assert rows_of(made) == [DAYS[text, zone]]


def test_today_is_one_of_the_last_days(spark) -> None:
    frame = spark.sql("select date'2024-03-10' today, explode(sequence(date'2024-03-01', date'2024-03-10')) day")
    assert [str(row[0]) for row in frame.filter(within("day", 3)).select("day").orderBy("day").collect()] == [
        "2024-03-08",
        "2024-03-09",
        "2024-03-10",
    ]
