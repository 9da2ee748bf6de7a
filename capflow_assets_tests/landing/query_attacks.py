"""Queries that try to read what is no input of theirs, queries that do not, and what either finds in a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from capflow_assets.landing import queries

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

CANARY = "the canary of another customer"
INPUTS = {"orders": ["a", "b", "Full Name"], "payments": ["c", "d", "tags"]}

ATTACKS = (
    # Other tables and views, however they are called
    "select * from others, orders, payments",
    "select * from `others`, orders, payments",
    "select * from default.others, orders, payments",
    "select * from spark_catalog.default.others, orders, payments",
    "select * from global_temp.others, orders, payments",
    "select * from `default.others`, orders, payments",
    "select secret as s from others",
    "table others",
    "from others select *",
    "select a from orders, payments where exists (select 1 from others where secret like 't%')",
    "select a, (select max(secret) from others) as s from orders, payments",
    "select a from orders, payments union all select secret from others",
    "select a from orders, payments except select secret from others",
    "select * from orders, payments join lateral (select * from others)",
    "select * from orders, payments, lateral (select secret from others) as x",
    "select a from orders, payments where a in (select secret from others)",
    # Names that are in scope somewhere, and not there
    "select * from (with others as (select 1 as secret) select * from others) as x, others, orders, payments",
    "with others as (select * from others) select * from others, orders, payments",
    "with x as (select * from canary), canary as (select 1 as secret) select * from x, orders, payments",
    "with orders as (select * from others) select * from orders, payments",
    "select * from orders as others, payments, others",
    "select others.secret as s from orders, payments, (select 1 as secret) as others2",
    "select secret as s from orders, payments where exists (select 1 as secret)",
    "with recursive x(n) as (select 1 union all select n + 1 from x) select * from x, orders, payments",
    # Files and other catalogues
    "select * from csv.`/etc/passwd`, orders, payments",
    "select * from text.`/etc/passwd`, orders, payments",
    "select * from parquet.`/lake/boots/raw/bills`, orders, payments",
    "select * from delta.`/lake/boots/raw/bills`, orders, payments",
    "select * from json.`s3://bucket/key`, orders, payments",
    "select * from `/etc/passwd`, orders, payments",
    "select * from '/etc/passwd', orders, payments",
    "select * from information_schema.tables, orders, payments",
    "select * from system.information_schema.tables, orders, payments",
    # Functions of tables
    "select * from read_csv('/etc/passwd'), orders, payments",
    "select * from read_files('/etc'), orders, payments",
    "select * from range(1000000000), orders, payments",
    "select * from table(range(5)), orders, payments",
    "select * from identifier('others'), orders, payments",
    "select * from orders, payments, identifier('oth' || 'ers')",
    "select * from sql_keywords(), orders, payments",
    "select * from python_list(), orders, payments",
    # Functions that reach outside, tell of the session, change every time, or stop everything
    "select reflect('java.lang.System', 'getenv', 'HOME') as s from orders, payments",
    "select java_method('java.lang.System', 'getProperty', 'user.home') as s from orders, payments",
    "select input_file_name() as s from orders, payments",
    "select current_user() as s from orders, payments",
    "select current_catalog() as s from orders, payments",
    "select version() as s from orders, payments",
    "select now() as s from orders, payments",
    "select unix_timestamp() as s from orders, payments",
    "select rand() as s from orders, payments",
    "select raise_error('x') as s from orders, payments",
    "select xpath_string('<!DOCTYPE a SYSTEM \"/etc/passwd\">', 'a') as s from orders, payments",
    "select default.upper(a) as s from orders, payments",
    "select `reflect`('a', 'b') as s from orders, payments",
    "select http_request('http://x') as s from orders, payments",
    # Variables, parameters, settings
    "select session.secret as s from orders, payments",
    "select system.session.secret as s from orders, payments",
    "select secret as s from orders, payments",
    "select ${spark.secret} as s from orders, payments",
    "select :secret as s from orders, payments",
    "select ? as s from orders, payments",
    "select @secret as s from orders, payments",
    "select @@version as s from orders, payments",
    # Other statements
    "drop view others",
    "select 1 as a from orders, payments; select * from others",
    "create view mine as select * from others",
    "create table mine as select 1",
    "insert into others select * from orders, payments",
    "select * into mine from orders, payments",
    "set spark.sql.ansi.enabled = false",
    "show tables",
    "describe others",
    "explain select * from orders, payments",
    "use default",
    "cache table mine as select 1",
    "add jar '/tmp/x.jar'",
    "execute immediate 'select * from others'",
    "begin select * from others; end",
    "values (1)",
    # What the grammar has besides
    "select /*+ broadcast(others) */ a from orders, payments",
    "select * from orders tablesample (10 percent), payments",
    "select * from orders version as of 1, payments",
    "select * from orders timestamp as of '2020-01-01', payments",
    "select * from orders pivot (max(a) for b in (1)), payments",
    "select transform(a) using '/bin/sh' as s from orders, payments",
    "select * from orders, payments match_recognize (pattern (a))",
    "select a from orders, payments for update",
    "select * from orders |> join others",
    "select * except (a) from orders, payments",
    "select 'a' as `x` from orders, payments where a = 'it\\'' union all select secret from others -- '",
    "select a as `x``, (select secret from others) as ``y` from orders, payments",
    "select payments.d.`x``, secret` as s from orders, payments",
)

LEGITIMATE = (
    "select o.a, p.d from orders o join payments p on o.a = p.c",
    "with p as (select c as a, d from payments) select o.a, p.a as same, p.d from orders o join p using (a)",
    "with p as (select c as a, d from payments where c > '1') select o.a, p.d from orders o left join p using (a)",
    "select * from orders, payments where a = c and a is not null and not b is null order by a desc limit 2",
    "SELECT Orders.A AS First, `full name` AS contact FROM Orders LEFT OUTER JOIN PAYMENTS ON A = C",
    "with s as (select c, sum(cast(d as double)) as d from payments group by c having count(*) > 0) "
    "select o.a, s.d from orders o left join s on s.c = o.a",
    "select a, row_number() over (partition by b order by a) as n, lag(a) over (order by a) as before "
    "from orders, payments where a = c",
    "select a, sum(cast(d as int)) over (order by cast(a as int) rows between unbounded preceding and current row) "
    "as running from orders join payments on a = c",
    "select a, e from orders join payments on a = c lateral view explode(split(tags, ',')) t as e",
    "select a, explode(array(b, b)) as e from orders, payments where a = c",
    "select a from orders union all select c from payments",
    "select distinct b from orders where a in (select c from payments where d <> '3')",
    "select a from orders o where exists (select 1 from payments p where p.c = o.a)",
    "select case when a = '1' then 'x' when a = '2' then 'y' else 'z' end as k, a between '1' and '2' as m, "
    "coalesce(nullif(b, ''), 'none') as b from orders, payments where a = c",
    "select count(distinct a) as n, count(*) filter (where a > '1') as big, max_by(b, a) as last from orders, payments",
    "select date_add(to_date('2024-01-31'), cast(a as int)) as d, date '2024-01-01' + interval 7 days as w, "
    "extract(year from date '2024-05-01') as y, date_format(date '2024-05-01', 'yyyy-MM') as m "
    "from orders, payments where a = c",
    "select m.name, a from orders join (values ('1', 'one'), ('2', 'two')) as m(code, name) on m.code = a, "
    "payments where c = a",
    "select size(filter(transform(split(tags, ''), x -> x || '!'), x -> x = '1!')) as n "
    "from payments, orders where a = c",
    "select max(a) as a from orders group by b union select min(c) from payments",
    "select x.a as a from (select a, b from orders where b like '%1%' or b rlike '[0-9]+') as x cross join payments",
    "select a = b is null as n, a || b || 'x' as t, - cast(a as int) % 2 as r, cast(a as int) div 2 as q "
    "from orders, payments where a <=> c -- as it binds in Spark",
    "select orders.a, payments.c as orders from orders full outer join payments on orders.a = payments.d",
    "select sum(cast(a as decimal(12, 2))) over w as s from orders join payments on a = c window w as (partition by b)",
)


class offered:  # noqa: N801  (a context, used as one)
    """The inputs of the attacks as views of a session, beside what belongs to somebody else; and what a text gives."""

    def __init__(self, spark: SparkSession) -> None:
        self.spark = spark

    def __enter__(self) -> Any:
        self.secret = self.spark.createDataFrame([(CANARY,)], "secret string")
        self.secret.createOrReplaceTempView("others")
        self.secret.createOrReplaceTempView("canary")
        return self.answer

    def answer(self, text: str) -> DataFrame:
        judged = queries.judged(text, INPUTS, "qcafe")
        for name, columns in INPUTS.items():
            rows = [tuple(f"{n}" for _ in columns) for n in (1, 2, 3)]
            renamed = [judged.names[column.lower()] for column in columns]
            schema = ", ".join(f"{column} string" for column in renamed)
            self.spark.createDataFrame(rows, schema).createOrReplaceTempView(judged.names[name])
        return self.spark.sql(judged.text)

    def __exit__(self, *_: object) -> None:
        for view in self.spark.catalog.listTables():
            if view.name.startswith("qcafe_") or view.name in ("others", "canary"):
                self.spark.catalog.dropTempView(view.name)
