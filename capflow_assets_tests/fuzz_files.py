"""Files and mappings that a hostile or careless customer could send, made from a seed.

Each comes with what its maker knows: how many rows came, and how many of them cannot land; None where nobody can know,
because bytes were broken at random; ``is_hopeless`` where nothing can land and the customer must be told so.
"""

from __future__ import annotations

import bz2
import codecs
import csv
import datetime as dt
import gzip
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any

from capflow_assets_tests.fuzz import BYSTANDER, EVIL, HEADER, broken

Rows = list[tuple[dict[str, Any], bool]]
BOMB_BYTES = 200 << 20
ODD = (
    "a,b",
    'say "hi"',
    EVIL,
    "=1+1",
    "é",
    "👩‍👩‍👧",
    "\u202e",
    "a\0b",
    "  x  ",
    "NULL",
    "\\",
    "'",
    "\u2028",
    "x" * 5_000,
    "$(id)",
    "{{7*7}}",
)
BAD_AMOUNTS = ("twelve", "", " ", "NaN", "inf", "1e999", "0x10", "1d", "1.2.3", "--1", "٣", "9" * 400)
BAD_TIMES = (
    "yesterday",
    "",
    "2024-13-01 10:00:00",
    "2024-02-30",
    "0001-01-01 00:00:00",
    "9999-12-31",
    "05/05/2024",
    "1714903200",
)


@dataclass
class Sent:
    """The files of one customer, by name, what the TOML says of them, and what its maker knows."""

    label: str
    files: dict[str, bytes]
    source: str = "csv"
    location: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=lambda: {name: name for name in HEADER})
    rows: int | None = None
    rejected: int | None = None
    is_hopeless: bool = False

    def toml(self, name: str) -> dict[str, Any]:
        """The customer's TOML as data."""
        location = self.location or next(iter(self.files))
        bills = {"source": self.source, "location": location, "options": self.options, "columns": self.columns}
        head = {"name": name, "vertical": "x", "currency": "EUR", "time_zone": "UTC"}
        return head | {"tables": {"bills": bills | {"max_rejected_pct": 100}}}


def files(seed: int, count: int, theirs: str) -> Iterator[Sent]:
    """``count`` customers' files. ``theirs`` is a folder of another customer in the lake."""
    random = Random(seed)
    makers = (_csv, _csv, _csv, _json, _json, _parquet, _excel, _broken, _broken, _broken, _odd)
    for number in range(count):
        yield makers[number % len(makers)](random, theirs)


def rows_of(random: Random, *, is_text: bool = True) -> Rows:
    """Rows, each with whether it can land; the first can."""
    rows: Rows = []
    for number in range(random.randrange(1, 40)):
        time = f"2024-05-{1 + number % 28:02} 10:00:00"
        row: dict[str, Any] = dict(zip(HEADER, (f"b{number}", f"u{number % 5}", time, f"{number}.25"), strict=True))
        kind = random.randrange(6) if number else 5
        if kind == 0:
            row["amount"] = random.choice(BAD_AMOUNTS)
        elif kind == 1 and is_text:
            row["billed_at"] = random.choice(BAD_TIMES)
        elif kind == 2:
            row["bill_id"] = random.choice(["", "  "])
        elif kind == 3:
            row["user_id"] = random.choice(ODD)
        # A bill without an amount may have that of its line items.
        is_blank = kind == 0 and not row["amount"].strip()
        rows.append((row, kind > 2 or is_blank or (kind == 1 and not is_text)))
    return rows


def _csv(random: Random, _: str) -> Sent:
    rows = rows_of(random)
    delimiter = random.choice([",", ";", "\t", "|"])
    encoding = random.choice(["utf-8", "utf-8", "utf-8", "utf-16", "utf-16-le", "utf-32"])
    lines, bad = [delimiter.join(HEADER)], 0
    for row, is_good in rows:
        values = list(row.values())
        form = random.randrange(12)
        if form == 0:
            values = values[: random.randrange(1, 4)]
            values[0] = values[0].strip() or "b"
        elif form == 1:
            values += ["one more"] * random.randrange(1, 4)
        lines.append(_line(values, delimiter))
        bad += not is_good or form < 2
        lines += [""] * (random.random() < 0.1)
    text = "".join(line + random.choice(["\n", "\n", "\r\n"]) for line in lines)
    content = (text if random.random() < 0.8 else text.rstrip("\r\n")).encode(encoding)
    if encoding == "utf-8" and random.random() < 0.3:
        content = codecs.BOM_UTF8 + content
    packed = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress}
    ending = random.choice(["", "", "", "", ".gz", ".bz2"])
    name = random.choice(
        ["bills.csv", "bills.csv", "b'; drop.csv", "b [1].csv", "b%20{x}.csv", "é\u202e.csv", "#b:c.csv"]
    )
    name = name.replace(".csv", ".csv" + ending)
    # Brackets are a pattern in a location: such a file is found by its folder.
    location = f"in/{name}" if "[" not in name else "in"
    label = f"csv {encoding} {delimiter!r} {name!r}"
    options = {"delimiter": delimiter, "encoding": encoding}
    return Sent(label, {f"in/{name}": packed[ending](content)}, "csv", location, options, rows=len(rows), rejected=bad)


def _line(values: list[str], delimiter: str) -> str:
    stream = io.StringIO()
    csv.writer(stream, delimiter=delimiter, lineterminator="").writerow(values)
    return stream.getvalue()


def _json(random: Random, _: str) -> Sent:
    rows = rows_of(random)
    is_document = random.random() < 0.3
    records, bad = [], 0
    for row, is_good in rows:
        form = random.randrange(14)
        texts = {
            0: '{"bill_id": "b", ' if not is_document else "17",
            1: "[1, 2]",
            2: json.dumps(row)[:-1] + ', "amount": 1}',
            3: json.dumps({name: value for name, value in row.items() if name != "amount"}),
            4: "null",
        }
        records.append(texts.get(form) or json.dumps(row, ensure_ascii=random.random() < 0.5))
        has_no_amount = form == 3 and (is_good or row["amount"] in BAD_AMOUNTS)
        bad += not has_no_amount and (form in texts or not is_good)
    text = "[" + ",\n".join(records) + "]" if is_document else "\n".join(records) + "\n"
    encoding = random.choice(["utf-8", "utf-8", "utf-16"])
    options = {"form": "document" if is_document else "lines", "encoding": encoding}
    label = f"json {options}"
    return Sent(label, {"bills.json": text.encode(encoding)}, "json", options=options, rows=len(rows), rejected=bad)


def _parquet(random: Random, _: str) -> Sent:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = rows_of(random, is_text=False)
    is_typed = random.random() < 0.7
    columns: dict[str, Any] = {name: [row[name] for row, _ in rows] for name in HEADER}
    bad = sum(not is_good for _, is_good in rows)
    if is_typed:
        bad = sum(not row["bill_id"].strip() for row, _ in rows)
        kind = random.choice([pa.float64(), pa.float32(), pa.decimal128(30, 9), pa.int32(), pa.uint64(), pa.float16()])
        amounts = [number + 0.0 for number in range(len(rows))]
        columns["amount"] = pa.array(amounts, pa.float64()).cast(kind)
        when = [dt.datetime(2024, 5, 1 + n % 28, 10, tzinfo=dt.UTC) for n in range(len(rows))]
        stamps = [pa.timestamp(unit, zone) for unit in ("s", "ms", "us", "ns") for zone in (None, "UTC", "Asia/Tokyo")]
        columns["billed_at"] = pa.array(when, pa.timestamp("us", "UTC")).cast(random.choice(stamps))
        if random.random() < 0.3:
            columns["user_id"] = pa.array(columns["user_id"]).dictionary_encode()
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream, row_group_size=random.choice([1, 7, 1000]))
    label = f"parquet {'typed' if is_typed else 'text'} {pa.table(columns).schema.types}"
    return Sent(label, {"bills.parquet": stream.getvalue()}, "parquet", rows=len(rows), rejected=bad)


def _excel(random: Random, _: str) -> Sent:
    import xlsxwriter

    rows, stream = rows_of(random), io.BytesIO()
    with xlsxwriter.Workbook(stream, {"in_memory": True}) as book:
        sheet = book.add_worksheet("b'; drop")
        for place, row in enumerate([dict(zip(HEADER, HEADER, strict=True)), *(row for row, _ in rows)]):
            for column, value in enumerate(row.values()):
                sheet.write_string(place, column, value.replace("\0", " ")[:30_000])
    bad = sum(not is_good for _, is_good in rows)
    return Sent("excel", {"bills.xlsx": stream.getvalue()}, "excel", rows=len(rows), rejected=bad)


def _broken(random: Random, theirs: str) -> Sent:
    """Any of the others with its bytes broken: nobody knows what can land, and all that comes is counted."""
    sent = random.choice([_csv, _json, _parquet, _excel])(random, theirs)
    ((name, content),) = sent.files.items()
    return Sent(f"broken {sent.label}", {name: broken(random, content)}, sent.source, sent.location, sent.options)


def _odd(random: Random, theirs: str) -> Sent:
    good = ",".join(HEADER) + "\n" + "".join(f"b{n},u,2024-05-01 10:00:00,1\n" for n in range(5))
    cases: tuple[Callable[[], Sent], ...] = (
        lambda: Sent("empty", {"bills.csv": b""}, is_hopeless=True),
        lambda: Sent("header only", {"bills.csv": ",".join(HEADER).encode()}, is_hopeless=True),
        lambda: Sent("a header twice", {"bills.csv": ("amount," + good).encode()}, rows=5, rejected=5),
        lambda: Sent("no header", {"bills.csv": good.partition("\n")[2].encode()}, is_hopeless=True),
        lambda: Sent("random bytes", {"bills.csv": random.randbytes(20_000)}, is_hopeless=True),
        lambda: Sent("NULs", {"bills.csv": bytes(50_000)}, is_hopeless=True),
        lambda: Sent("one line of commas", {"bills.csv": b"," * 100_000}, is_hopeless=True),
        lambda: Sent("a huge value", {"bills.csv": (good + f"b,{'x' * (10 << 20)},2024-05-01 10:00:00,1\n").encode()}),
        lambda: Sent("an open quote", {"bills.csv": (good + 'b,"u\n' + good.partition("\n")[2]).encode()}),
        lambda: Sent("CR alone", {"bills.csv": good.replace("\n", "\r").encode()}),
        lambda: Sent("a gzip cut off", {"bills.csv.gz": gzip.compress((good * 500).encode())[:-20]}),
        lambda: Sent("a gzip bomb", {"bills.csv.gz": gzip.compress(b"a" * (80 << 20), 1)}, is_hopeless=True),
        lambda: Sent("1,900 columns", {"bills.csv": _wide(good)}, rows=5, rejected=0),
        lambda: Sent("no gzip", {"bills.csv.gz": good.encode()}, rows=5, rejected=0),
        lambda: Sent("CSV as Parquet", {"bills.csv": good.encode()}, "parquet", is_hopeless=True),
        lambda: Sent("CSV as Excel", {"bills.csv": good.encode()}, "excel", is_hopeless=True),
        lambda: Sent("CSV as JSON", {"bills.csv": good.encode()}, "json"),
        lambda: Sent("a zip bomb", {"bills.xlsx": _bomb()}, "excel", is_hopeless=True),
        lambda: Sent("brackets", {"bills.json": b"[" * 100_000}, "json", is_hopeless=True),
        lambda: Sent(
            "deep objects", {"bills.json": b'{"a":' * 50_000 + b"1" + b"}" * 50_000}, "json", is_hopeless=True
        ),
        lambda: Sent(
            "a folder of two",
            {"in/a.csv": good.encode(), "in/b.csv": good.encode()},
            location="in",
            rows=10,
            rejected=0,
        ),
        lambda: Sent("a glob", {"in/a.csv": good.encode(), "in/b.txt": b"?"}, location="in/*.csv", rows=5, rejected=0),
        lambda: Sent("another customer's files", {"x": b""}, "parquet", f"{theirs}/raw/bills", is_hopeless=True),
        lambda: Sent("another customer's table", {"x": b""}, "delta", f"{theirs}/raw/bills", is_hopeless=True),
        lambda: Sent("another customer, by dots", {"x": b""}, "csv", f"{theirs}/../{BYSTANDER}/raw", is_hopeless=True),
        lambda: Sent("a device", {"x": b""}, "csv", "/dev/null", is_hopeless=True),
        lambda: Sent("a mapping", {"bills.csv": good.encode()}, columns=_mapped(random)),
        lambda: Sent(
            "a mapping that is refused", {"bills.csv": good.encode()}, columns=_evil(random), is_hopeless=True
        ),
    )
    return random.choice([*cases, cases[-1], cases[-1], cases[-1], cases[-2], cases[-2]])()


def _wide(good: str) -> bytes:
    header, *rows = good.splitlines()
    return "\n".join([header + "".join(f",c{n}" for n in range(1_896)), *(row + "," * 1_896 for row in rows)]).encode()


@cache
def _bomb() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as book, book.open("xl/worksheets/sheet1.xml", "w") as part:
        for _ in range(BOMB_BYTES >> 20):
            part.write(bytes(1 << 20))
    return stream.getvalue()


REFUSED = (
    "(select max(amount) from bills)",
    "(values 1)",
    "(from bills)",
    "amount; drop table bills",
    "sum(amount)",
    "count(*)",
    "max(amount) over ()",
    "row_number() over (order by amount)",
    "explode(split(amount, ''))",
    "inline(array(struct(1)))",
    "now()",
    "uuid()",
    "rand()",
    "current_timestamp",
    "reflect('java.lang.System', 'exit', 0)",
    "read_files('/etc/passwd')",
    "`nobody`",
    "*",
    "amount.*",
    "lag(amount) over (order by bill_id)",
    "collect_list(amount)",
    "amount)) --",
    "'",
    "array(amount)",
    "map('a', 1)",
    "struct(amount)",
    "exists(select 1)",
    "amount in (select 1)",
    "/* select */ (sElEcT 1)",
    "first_value(amount)",
    "monotonically_increasing_id()",
    "stack(2, 1, 2)",
    "grouping(amount)",
    "sequence(1, 3)",
)


def _evil(random: Random) -> dict[str, str]:
    return {name: name for name in HEADER} | {random.choice(HEADER): random.choice(REFUSED)}


def _mapped(random: Random) -> dict[str, str]:
    """An expression of random words: most are wrong, some are not."""
    words = (
        *HEADER,
        "cast",
        "(",
        ")",
        ",",
        "as",
        "double",
        "coalesce",
        "+",
        "-",
        "*",
        "/",
        "'x'",
        "1",
        "null",
        "case",
        "when",
        "then",
        "end",
        "||",
        "and",
        "not",
        "--",
        "/*",
        "`",
        "concat",
        "try_cast",
        "upper",
        "=",
        "from",
        "over",
        "lateral",
    )
    text = " ".join(random.choice(words) for _ in range(random.randrange(1, 8)))
    return {name: name for name in HEADER} | {"amount": text}
