"""Four feature blocks of the grocer: ours against SQL written by hand for DuckDB, with two threads.

Both read the same Parquet files and end in an Arrow table. They take turns, so that what else the machine does falls
on both; after a first pass, which also shows that the two compute the same, the medians of ``ROUNDS`` count. Ours is
one request to the engine, as the writing of a run is; beside it stands what ``toArrow`` takes, which sends another one
first, for the schema. Beside the grocer stands ten times the grocer, with users of their own: what an engine takes to
plan is the same for both.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql.connect.dataframe import DataFrame

ROUNDS = 7
SIZES = (1, 10)
BUDGET = 1.5
TOLERANCE = 1e-9
AS_OF = datetime(2018, 1, 1, 4, 59, 59, 999999, tzinfo=UTC)

SETUP = """
set threads = 2;
set TimeZone = 'UTC';
create macro exact(x) as x::decimal(18,4);
create macro ratio(part, whole) as case when whole > 0 then part::double / whole::double end;
"""
DAYS = """
with days as (
  select user_id, billed_on, sum(exact(amount)) net, sum(case when amount > 0 then exact(amount) else 0 end) spend,
    count(*) bills, case when max(exact(amount)) >= 0 then billed_on end visited_on
  from bills where billed_at <= $as_of and user_id is not null
  group by user_id, billed_on
),
"""
RFM = """
sums as (
  select user_id, max(visited_on) last_on, min(billed_on) first_on, count(visited_on)::int visits,
    sum(bills)::int bills, (count(*) filter ($today - visited_on < 28))::int visits_28d,
    (count(*) filter ($today - visited_on < 91))::int visits_91d,
    (count(*) filter ($today - visited_on < 364))::int visits_364d,
    (count(*) filter ($today - visited_on >= 91 and $today - visited_on < 182))::int visits_prior_91d,
    sum(net) total,
    sum(case when $today - billed_on < 91 then net else 0 end) total_91d,
    sum(case when $today - billed_on < 364 then net else 0 end) total_364d,
    sum(case when $today - billed_on >= 91 and $today - billed_on < 182 then net else 0 end) total_prior,
    sum(spend) - arg_min(spend, visited_on) again, sum(spend) - sum(net) returned
  from days group by user_id
)
select user_id, $as_of as_of, ($today - last_on)::int recency_days, ($today - first_on)::int tenure_days, visits, bills,
  visits_28d, visits_91d, visits_364d, visits_prior_91d,
  100 * ratio(visits_91d - visits_prior_91d, visits_prior_91d) visits_trend_pct,
  total::double spend_total, ratio(total, visits) spend_avg, total_91d::double spend_91d,
  total_364d::double spend_364d, total_prior::double spend_prior_91d,
  100 * ratio(total_91d - total_prior, total_prior) spend_trend_pct,
  ratio(again, visits - 1) repeat_visit_spend_avg, returned::double returns_total,
  (floor(5 * (rank() over r - 1 + count(*) over r) / (2 * count(*) over ())) + 1)::int recency_quintile,
  (floor(5 * (rank() over f - 1 + count(*) over f) / (2 * count(*) over ())) + 1)::int frequency_quintile,
  (floor(5 * (rank() over m - 1 + count(*) over m) / (2 * count(*) over ())) + 1)::int monetary_quintile
from sums
window r as (order by last_on nulls first), f as (order by visits), m as (order by total)
"""
RHYTHM = """
gaps as (
  select user_id, visited_on, visited_on - lag(visited_on) over visit gap,
    row_number() over (partition by user_id, visited_on is null order by visited_on desc) latest
  from days window visit as (partition by user_id, visited_on is null order by visited_on)
),
sums as (
  select user_id, avg(gap) average, stddev_samp(gap) deviation, (max(gap) filter (latest = 1))::double newest,
    avg(gap) filter (latest <= 3) recent, avg(round(ln(gap), 9)) logs, median(gap) middle, max(visited_on) last_on
  from gaps group by user_id
)
select user_id, $as_of as_of, average gap_days_avg, deviation gap_days_std, newest gap_days_last,
  recent gap_days_recent_avg, (recent - average) / average * 100 gap_change_pct,
  ($today - last_on) / average overdue_ratio,
  middle::double gap_days_median, deviation / average gap_days_cv, 1 / (1 + deviation / average) regularity,
  logs gap_days_log_avg,
  average - ($today - last_on) next_visit_in_days, last_on + floor(average + 0.5)::int next_visit_on
from sums
"""
BASKETS = """
with bought as (
  select user_id, exact(amount) amount, exact(quantity) quantity, line_items, amount >= 0 good,
    amount >= 0 and quantity > 0 counted, amount >= 0 and line_items > 0 lined, $today - billed_on < 91 lately
  from bills where billed_at <= $as_of and user_id is not null
),
sums as (
  select user_id, count(*) filter (good) n, count(*) filter (good and lately) n91,
    sum(amount) filter (good) paid, sum(amount) filter (good and lately) paid91,
    sum(amount::double * amount::double) filter (good) square, stddev_samp(amount) filter (good) deviation,
    max(amount) filter (good) largest,
    sum(quantity) filter (counted) pieces, sum(quantity) filter (counted and lately) pieces91,
    count(*) filter (counted) counted, count(*) filter (counted and lately) counted91,
    sum(amount) filter (counted) priced, sum(amount) filter (counted and lately) priced91,
    sum(line_items) filter (lined) lines, sum(line_items) filter (lined and lately) lines91,
    count(*) filter (lined) lined, count(*) filter (lined and lately) lined91
  from bought group by user_id
),
opened as (
  select user_id, min(billed_on) billed_on, count(distinct item_id) items
  from line_items where billed_at <= $as_of and user_id is not null and not is_return group by user_id, bill_id
),
breadth as (
  select user_id, sum(items) / count(*) items_avg,
    sum(items) filter ($today - billed_on < 91) / count(*) filter ($today - billed_on < 91) items_avg_91d
  from opened group by user_id
)
select user_id, $as_of as_of, n::int purchase_bills, n91::int purchase_bills_91d, ratio(paid, n) purchase_amount_avg,
  ratio(paid91, n91) purchase_amount_avg_91d, deviation purchase_amount_std, largest::double purchase_amount_max,
  100 * ratio(ratio(paid91, n91) - ratio(paid, n), ratio(paid, n)) purchase_amount_change_pct,
  ratio(pieces, counted) pieces_avg, ratio(pieces91, counted91) pieces_avg_91d, ratio(lines, lined) lines_avg,
  ratio(lines91, lined91) lines_avg_91d, items_avg, items_avg_91d, ratio(priced, pieces) piece_price_avg,
  ratio(priced91, pieces91) piece_price_avg_91d, ratio(largest, paid) top_purchase_share,
  case when paid > 0 then least(square / (paid::double * paid::double), 1) end purchase_concentration
from sums left join breadth using (user_id)
"""
# Whole weights, as in ``user_item``: 2^30 on the first day of a period of 20 half-lives, twice that 90 days later.
USER_ITEM = """
with days as (
  select user_id, item_id, billed_on, max(case when is_return then 0 else 1 end) bought,
    sum(exact(quantity)) quantity, sum(exact(amount)) amount
  from line_items
  where billed_at <= $as_of and user_id is not null and coalesce(not contains(flags, 'not_an_item'), true) group by all
),
dated as (
  select *, case when bought = 1 then billed_on end bought_on, billed_on - date '1970-01-01' day_no,
    $today - date '1970-01-01' today_no from days
),
weighed as (
  select *, round(pow(2, 30 + (day_no % 90) / 90.0))::bigint * (1::bigint << (day_no % 1800 // 90)) weight from dated
),
sums as (
  select user_id, item_id, any_value(today_no) today_no, sum(bought) purchases, sum(quantity) quantity,
    sum(amount) amount, min(bought_on) first_bought_on, max(bought_on) last_bought_on,
    sum(case when bought = 1 and day_no // 1800 = today_no // 1800 then weight else 0 end)::bigint decay_now,
    sum(case when bought = 1 and day_no // 1800 = today_no // 1800 - 1 then weight else 0 end)::bigint decay_before
  from weighed group by user_id, item_id
)
select user_id, item_id, $as_of as_of, purchases::int purchases, quantity::double pieces,
  coalesce(amount::double, 0) spend_item, first_bought_on, last_bought_on,
  ($today - last_bought_on)::int last_bought_days,
  (decay_now + decay_before / pow(2, 20)) / pow(2, 30 + today_no % 1800 / 90.0) decayed_purchases,
  date '1970-01-01' + (today_no - today_no % 1800)::int decay_from_on, decay_now, decay_before
from sums
"""
BLOCKS = {"rfm": DAYS + RFM, "rhythm": DAYS + RHYTHM, "baskets": BASKETS, "user_item": USER_ITEM}


def run() -> None:
    """Print the seconds of both for each block and their ratio; the budget is 1.5."""
    from bench.growth import prepare_apart, replicate
    from capflow_assets.graph.engine import Engine

    with tempfile.TemporaryDirectory() as place:
        base = Path(place, "base")
        prepare_apart(base)
        sail = Engine().spark_session
        for times in SIZES:
            folder = Path(place, f"{times} times")
            lines = replicate(base, folder, times)
            connection = _duckdb(folder)
            for name in BLOCKS:
                line = _comparison(name, _ours(sail, folder, name), partial(_peer, connection, name))
                print(f"features_sql: {lines:,} lines: {line}", flush=True)  # noqa: T201
            connection.close()


def _comparison(name: str, ours: Callable[[], DataFrame], peer: Callable[[], pa.Table]) -> str:
    def at_once() -> pa.Table:
        return ours()._to_table()[0]

    def after_the_schema() -> pa.Table:
        return ours().toArrow()

    rows = _same(name, after_the_schema(), peer())
    # The peer between, so that neither of ours finds the machine as the other has left it.
    turns = [[_seconds(way) for way in (at_once, peer, after_the_schema, peer)] for _ in range(ROUNDS)]
    own, other, longer = (statistics.median(turn[side] for turn in turns) for side in range(3))
    return (
        f"{name}, {rows:,} rows to Arrow: ours {own:.3f} s, SQL on DuckDB {other:.3f} s, "
        f"ratio {own / other:.2f} (budget {BUDGET}), {longer / other:.2f} by toArrow; values within {TOLERANCE:.0e}"
    )


def _seconds(compute: Callable[[], pa.Table]) -> float:
    began = time.perf_counter()
    compute()
    return time.perf_counter() - began


def _ours(sail: Any, folder: Path, name: str) -> Callable[[], DataFrame]:
    from capflow_assets.blueprint.calls import call
    from capflow_assets.definitions import STAGES
    from capflow_assets_doubles.real_customers import demo_customer, inputs, values

    customer = demo_customer("grocer")
    spec = STAGES.tables[f"features/{name}"]

    def planned() -> DataFrame:
        frames = inputs(sail, folder, spec, STAGES.absent(customer.tables))
        table: DataFrame = call(spec, frames, values(customer, AS_OF))
        return table

    return planned


def _duckdb(folder: Path) -> Any:
    import duckdb

    connection = duckdb.connect()
    connection.execute(SETUP)
    for table in ("bills", "line_items"):
        connection.read_parquet(f"{folder}/clean/{table}/*.parquet").create_view(table)
    return connection


def _peer(connection: Any, name: str) -> pa.Table:
    from capflow_assets.expressions.days import local_day_of

    given = {"as_of": AS_OF, "today": local_day_of(AS_OF, "America/New_York")}
    return connection.sql(BLOCKS[name], params=given).to_arrow_table()


def _same(name: str, ours: pa.Table, peer: pa.Table) -> int:
    """The number of rows, where both have the same columns and values: doubles nearly, all else exactly."""
    import numpy as np
    import pyarrow as pa

    from capflow_assets.definitions import STAGES

    keys = [(key, "ascending") for key in STAGES.tables[f"features/{name}"].table.key]
    ours, peer = ours.sort_by(keys), peer.sort_by(keys)
    if ours.column_names != peer.column_names or ours.num_rows != peer.num_rows:
        raise RuntimeError(f"{name}: {ours.num_rows} rows of {ours.column_names}, {peer.num_rows} {peer.column_names}")
    for column in ours.column_names:
        mine, other = ours[column], peer[column]
        if pa.types.is_floating(mine.type):
            is_equal = np.allclose(mine.to_numpy(), other.to_numpy(), rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
        else:
            is_equal = mine.equals(other.cast(mine.type))
        if not is_equal:
            raise RuntimeError(f"{name}: {column} differs: {mine.slice(0, 9)} against {other.slice(0, 9)}")
    return int(ours.num_rows)
