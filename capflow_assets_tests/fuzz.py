"""TOML texts that a hostile or careless customer could send, made from a seed: a good one with something done to it."""

from __future__ import annotations

import codecs
import datetime as dt
import gzip
import json
import math
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any

import tomlkit

BYSTANDER = "bystander"
SECRET = "pl4nted-pa55word"
HEADER = ("bill_id", "user_id", "billed_at", "amount")
EVIL = "'; drop table bills; --"
HUGE = 1 << 21
WORDS = (
    "",
    " ",
    "x",
    "é",
    "\u202egnp.exe",
    "👩‍👩‍👧",
    "a\u0301",
    "\ufeff",
    "\u2028",
    "\x7f",
    "\t",
    "\n",
    "a\nb: c",
    EVIL,
    "../../etc/passwd",
    "/etc/passwd",
    "~/x",
    "%s%n",
    "${HOME}",
    "{0}",
    "[red]x[/]",
    "\x1b[31mred",
    "\0",
    "-",
    ".",
    "..",
    "*",
    "**/*",
    "NaN",
    "null",
    "true",
    "CON",
    "a" * 5_000,
)
SCALARS = (
    0,
    -1,
    1,
    2**63,
    10**30,
    -(10**400),
    0.5,
    1e308,
    -1e308,
    math.inf,
    -math.inf,
    math.nan,
    True,
    False,
    dt.date(2024, 2, 29),
    dt.datetime(1, 1, 1, tzinfo=dt.UTC),
    dt.time(23, 59),
)
SOURCES = ("csv", "parquet", "json", "excel", "delta", "sql", "mongodb", "dynamodb", "files")


def good(name: str) -> dict[str, Any]:
    """A TOML with something in every part, and nothing wrong with it."""
    bills = {"source": "csv", "location": "bills.csv", "max_rejected_pct": 5, "columns": {n: n for n in HEADER}}
    items = {"source": "json", "location": "items/*.json", "columns": {"item_id": "sku", "price": "cast(p as double)"}}
    return {
        "name": name,
        "vertical": "gifts",
        "currency": "EUR",
        "time_zone": "Europe/Madrid",
        "tables": {"bills": bills | {"options": {"delimiter": ";"}}, "items": items | {"options": {"form": "lines"}}},
        "models": {"rfm_segments": {"horizon_days": 30, "seed": 1}},
        "retraining": {"psi": 0.2, "k": 2, "n": 3},
    }


# -- TOML texts --------------------------------------------------------------------------------------------------------


def tomls(seed: int, count: int, places: dict[str, str]) -> Iterator[tuple[str, bytes]]:
    """``count`` TOML texts: what was done to each, and its bytes. ``places`` are paths that nobody may read from."""
    random = Random(seed)
    makers = (_value, _value, _value, _key, _name, _location, _location, _options, _secret, _text, _text, _bytes, _deep)
    for number in range(count):
        make = makers[number % len(makers)]
        description, content = make(random, good(f"f{number}"), places)
        yield f"{number} {make.__name__[1:]}: {description}", content


def dumped(data: dict[str, Any]) -> bytes:
    return tomlkit.dumps(data).encode("utf-8", "surrogatepass")


def _value(random: Random, data: dict[str, Any], _: dict[str, str]) -> tuple[str, bytes]:
    where = random.choice(list(_paths(data)))
    new = _any(random)
    _put(data, where, new)
    return f"{'.'.join(where)} = {str(new)[:40]!r}", dumped(data)


def _key(random: Random, data: dict[str, Any], _: dict[str, str]) -> tuple[str, bytes]:
    where = random.choice(list(_paths(data)))
    parent = _get(data, where[:-1])
    new = random.choice([*WORDS, where[-1][:-1] + "x", where[-1].upper(), *HEADER, "rejected_because"])
    how = random.choice(["renamed", "doubled", "dropped"])
    value = parent.pop(where[-1]) if how != "doubled" else parent[where[-1]]
    if how != "dropped":
        parent[new] = deepcopy(value)
    return f"{'.'.join(where)} {how} to {new[:40]!r}", dumped(data)


def _name(random: Random, data: dict[str, Any], _: dict[str, str]) -> tuple[str, bytes]:
    alike = (
        BYSTANDER,
        f"{BYSTANDER}/",
        f"../customers/{BYSTANDER}",
        f"./{BYSTANDER}",
        f"{BYSTANDER}\n",
        BYSTANDER.upper(),
        f" {BYSTANDER}",
        f"{BYSTANDER}.toml",
        "by\u0455tander",
        "a" * 63,
        "a" * 64,
        "-a",
        "_a",
        "0",
    )
    data["name"] = random.choice([*alike, *WORDS])
    return repr(data["name"][:60]), dumped(data)


def _location(random: Random, data: dict[str, Any], places: dict[str, str]) -> tuple[str, bytes]:
    theirs = [
        form.format(place)
        for place in places.values()
        for form in ("{}", "{}/*", "{}/../" + Path(next(iter(places.values()))).name, "{}//./raw", "file://{}", "{}\0x")
    ]
    odd = (
        "s3://",
        "s3:///x",
        "s3://b",
        "s3://b/../x",
        "s3://../x",
        "s3://b/x?y#z",
        "s3://B_a d/x",
        "package://",
        "package://..",
        "package:///etc/passwd",
        "package://os/../x",
        "package://a b/c",
        "https://x/y.csv",
        "file:///etc/passwd",
        "postgresql://",
        "postgresql:///",
        "sqlite:////etc/passwd",
        "mongodb://[::1/x",
        "dynamodb://",
        "://",
        "\\\\host\\share",
        "[",
        "[!",
        "a[b",
        "**",
        "?" * 300,
        "x" * 5_000,
        "x/" * 3_000,
        "/",
        "/dev/zero",
        "/proc/self/environ",
        "/dev/stdin",
    )
    where = random.choice([("tables", "bills", "location"), ("tables", "items", "location"), ("base",)])
    new = random.choice([*theirs, *theirs, *odd, *WORDS])
    _put(data, where, new)
    if where != ("base",):
        _put(data, (*where[:2], "source"), random.choice(SOURCES))
        _put(data, (*where[:2], "options"), {})
    return f"{'.'.join(where)} = {new[:80]!r}", dumped(data)


def _options(random: Random, data: dict[str, Any], _: dict[str, str]) -> tuple[str, bytes]:
    source = random.choice(SOURCES)
    names = (
        "delimiter",
        "encoding",
        "quote",
        "escape",
        "names",
        "null_values",
        "header",
        "sheet",
        "range",
        "form",
        "records",
        "rows",
        "table",
        "query",
        "user",
        "password",
        "version",
        "collection",
        "filter",
        "timestamp_format",
        "date_format",
        "skip_rows",
        "region",
        "endpoint",
        random.choice(WORDS),
    )
    odd = (
        "rot13",
        "base64",
        "utf-7",
        "idna",
        "undefined",
        "zlib",
        "A1:",
        "ZZZZ9:A1",
        "a..b",
        "yyyy-'",
        "(a+)+$",
        "SELECT 1; DROP TABLE x",
    )
    options = {name: random.choice([_any(random), random.choice(odd)]) for name in random.sample(names, 2)}
    data["tables"]["bills"] |= {"source": source, "options": options}
    return f"{source} {str(options)[:80]}", dumped(data)


def _secret(random: Random, data: dict[str, Any], _: dict[str, str]) -> tuple[str, bytes]:
    """A password where it belongs to and where it does not, beside something that is wrong."""
    passwords = (SECRET, {"env": SECRET}, {"env": "NOWHERE", "value": SECRET}, [SECRET], {"envv": SECRET})
    addresses = (
        "postgresql://shop.invalid/crm",
        f"postgresql://ana:{SECRET}@shop.invalid/crm",
        "mongodb://shop.invalid/crm",
        f"mysql://ana:{SECRET}@shop.invalid:3306/crm",
        f"mongodb://ana:{SECRET}@shop.invalid",
        f"s3://ana:{SECRET}@bucket/x",
        f"postgresql://{SECRET}@",
    )
    location = random.choice(addresses)
    source = random.choice(["sql", "sql", "mongodb", "dynamodb", "csv"])
    options = {"password": random.choice(passwords), "table": "t"}
    data["tables"]["bills"] |= {"source": source, "location": location, "options": options}
    if random.random() < 0.5:
        data.pop("currency")
    return f"{source} {location} {options}", dumped(data)


def _text(random: Random, data: dict[str, Any], _: dict[str, str]) -> tuple[str, bytes]:
    """A good text in another encoding, with other ends of lines, or with something before or after it."""
    text = tomlkit.dumps(data)
    ways: dict[str, Callable[[], bytes]] = {
        **{name: lambda name=name: text.encode(name) for name in ("utf-16", "utf-16-be", "utf-32", "utf-7", "cp037")},
        "BOM": lambda: codecs.BOM_UTF8 + text.encode(),
        "two BOMs": lambda: codecs.BOM_UTF8 * 2 + text.encode(),
        "BOM inside": lambda: text.replace("[tables", "\ufeff[tables", 1).encode(),
        "latin-1": lambda: text.replace("gifts", "Männer").encode("latin-1"),
        "CRLF": lambda: text.replace("\n", "\r\n").encode(),
        "CR": lambda: text.replace("\n", "\r").encode(),
        "no ends": lambda: text.replace("\n", " ").encode(),
        "NUL after": lambda: text.encode() + b"\0",
        "NULs alone": lambda: bytes(random.randrange(1, 5_000)),
        "gzip": lambda: gzip.compress(text.encode()),
        "JSON": lambda: json.dumps(data).encode(),
        "twice": lambda: (text + text).encode(),
        "surrogate": lambda: text.replace("gifts", "\ud800").encode("utf-8", "surrogatepass"),
        "large": lambda: text.encode() + b"#" + b"x" * random.choice([1 << 10, (1 << 20) - len(text) - 2, HUGE]),
        "many keys": lambda: text.encode() + b"[models.x]\n" + b"".join(b"k%d = 1\n" % n for n in range(20_000)),
        "empty": lambda: random.choice([b"", b" \n", b"\xef\xbb\xbf", b"# only a comment\n"]),
    }
    way = random.choice(list(ways))
    return way, ways[way]()


def _bytes(random: Random, data: dict[str, Any], _: dict[str, str]) -> tuple[str, bytes]:
    return "broken", broken(random, dumped(data))


def _deep(random: Random, data: dict[str, Any], _: dict[str, str]) -> tuple[str, bytes]:
    levels = random.choice([50, 900, 5_000, 100_000])
    forms = {
        "arrays": "x = " + "[" * levels + "]" * levels,
        "open arrays": "x = " + "[" * levels,
        "tables": "x = " + "{a = " * levels + "1" + "}" * levels,
        "dots": "x" + ".a" * levels + " = 1",
        "header": "[x" + ".a" * levels + "]",
        "digits": "x = " + "9" * levels,
        "quotes": 'x = """' + '"' * levels,
        "hex": "x = 0x" + "f" * levels,
    }
    form = random.choice(list(forms))
    if random.random() < 0.5:
        data["tables"]["bills"]["options"] = {"deep": 0}
        text = tomlkit.dumps(data).replace("deep = 0", forms[form].removeprefix("[").removesuffix("]"))
    else:
        text = forms[form] + "\n" + tomlkit.dumps(data)
    return f"{form} {levels}", text.encode()


def broken(random: Random, content: bytes) -> bytes:
    """The same bytes with a few of them changed, dropped, doubled or cut off."""
    data = bytearray(content)
    for _ in range(random.randrange(1, 4)):
        at, long = random.randrange(len(data) + 1), random.randrange(1, 40)
        match random.randrange(5):
            case 0:
                data[at : at + 1] = bytes([random.randrange(256)])
            case 1:
                del data[at : at + long]
            case 2:
                data[at:at] = data[at : at + long]
            case 3:
                data[at:at] = random.choice([b"\0", b"\xff\xfe", b'"', b"'''", b"\r", b"[[", b"]]", b"\x1b[2J", b"="])
            case _:
                del data[max(at, 1) :]
    return bytes(data)


def _any(random: Random) -> Any:
    simple = random.choice([*SCALARS, *WORDS])
    return random.choice([simple, simple, simple, [], {}, [simple], {"x": simple}, [[{"a": [simple]}]]])


def _paths(data: dict[str, Any], before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in data.items():
        yield (*before, key)
        if isinstance(value, dict):
            yield from _paths(value, (*before, key))


def _get(data: dict[str, Any], where: tuple[str, ...]) -> dict[str, Any]:
    for key in where:
        data = data[key]
    return data


def _put(data: dict[str, Any], where: tuple[str, ...], value: Any) -> None:
    _get(data, where[:-1])[where[-1]] = value
