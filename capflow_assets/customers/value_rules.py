"""What a value in a TOML should have been, in words, for everything that pydantic finds wrong with one. Pure.

Pydantic's own sentences are about Python ("Input should be a valid dictionary"); here they are about the file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from capflow_assets.errors import shortened

WHOLE, NUMBER, TRUTH, TEXT = "a whole number", "a number", "true or false", 'text in quotes, such as "one"'
LIST, PART = 'a list, such as ["one", "two"]', 'keys and values, such as { key = "value" }'
TIME, DAY = "a time, such as 2024-06-30T12:00:00+02:00", "a date, such as 2024-06-30"
RULES: Mapping[str, str] = {
    "bool_parsing": TRUTH,
    "bool_type": TRUTH,
    "date_from_datetime_inexact": DAY,
    "date_from_datetime_parsing": DAY,
    "date_parsing": DAY,
    "date_type": DAY,
    "datetime_from_date_parsing": TIME,
    "datetime_object_invalid": TIME,
    "datetime_parsing": TIME,
    "datetime_type": TIME,
    "dict_type": PART,
    "finite_number": "a finite number",
    "float_parsing": NUMBER,
    "float_type": NUMBER,
    "int_from_float": WHOLE,
    "int_parsing": WHOLE,
    "int_parsing_size": "a whole number of usual size",
    "int_type": WHOLE,
    "list_type": LIST,
    "mapping_type": PART,
    "missing": "a value",
    "model_attributes_type": PART,
    "model_type": PART,
    "set_type": LIST,
    "string_sub_type": TEXT,
    "string_type": TEXT,
    "string_unicode": "text in UTF-8",
    "timezone_aware": TIME,
    "tuple_type": LIST,
}
# The patterns that our models have, as a person would say them.
PATTERNS: Mapping[str, str] = {
    r"^[a-z0-9][a-z0-9_-]{0,62}$": "at most 63 of a to z, 0 to 9, - and _, the first a letter or digit, such as boots",
    r"^[A-Z]{3}$": "three capital letters, such as EUR",
    r"^$|^[^=]+=.*$": "attribute=value, such as segment=vip; or nothing",
    r"^[a-z_][a-z0-9_{}]{0,62}$": "a name of a to z, 0 to 9 and _, such as capflow_{model}",
    r"^[a-z_][a-z0-9_{}]{0,63}$": "a name of a to z, 0 to 9 and _, such as capflow_{model}",
    r"^[a-z_][a-z0-9_]{0,62}$": "a name of a to z, 0 to 9 and _, such as public",
    r"^(mysql|mariadb)://[^/]+/[^/?]+$": "a database, such as mysql://db.example.com:3306/crm",
    r"^postgresql://[^/]+/[^/?]+$": "a database, such as postgresql://db.example.com:5432/crm",
    r"^[a-z0-9-]{3,32}$": "a region, such as eu-central-1",
    r"^[A-Za-z0-9_.-]{3,255}$": "3 to 255 of letters, digits, _, - and .",
    r"^[A-Za-z0-9_.{}:-]{1,64}$": "at most 64 of letters, digits, _, -, ., : and {}",
    r"^\d{4}-\d{2}-\d{2}$": "a day, such as 2026-07-15",
    r"^[^@\s,;<>]+@[^@\s,;<>]+$": "one address, such as ops@example.com",
    r'^[^\r\n"]$': 'one character, neither " nor the end of a line, such as ;',
}


def rule_of(error: Mapping[str, Any]) -> str:
    """What was expected where pydantic found this error (one of ``ValidationError.errors()``).

    >>> rule_of({"type": "greater_than_equal", "ctx": {"ge": 1}, "msg": "Input should be greater than or equal to 1"})
    'at least 1'
    """
    kind, context = error["type"], error.get("ctx") or {}
    if kind in RULES:
        return RULES[kind]
    if kind in CONTEXTUAL:
        return CONTEXTUAL[kind](context)
    return str(error["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")


def _pattern(context: Mapping[str, Any]) -> str:
    pattern = str(context["pattern"])
    return PATTERNS.get(pattern, f"text of the form {shortened(pattern)}")


def _entries(word: str, name: str) -> Callable[[Mapping[str, Any]], str]:
    def words(context: Mapping[str, Any]) -> str:
        count = int(context[name])
        return f"{word} {count:,} {'entry' if count == 1 else 'entries'}"

    return words


def _least_characters(context: Mapping[str, Any]) -> str:
    least = int(context["min_length"])
    return "text that is not blank" if least == 1 else f"at least {least:,} characters"


CONTEXTUAL: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "enum": lambda context: f"one of {context['expected']}",
    "greater_than": lambda context: f"above {context['gt']}",
    "greater_than_equal": lambda context: f"at least {context['ge']}",
    "less_than": lambda context: f"below {context['lt']}",
    "less_than_equal": lambda context: f"at most {context['le']}",
    "literal_error": lambda context: f"one of {context['expected']}",
    "multiple_of": lambda context: f"a multiple of {context['multiple_of']}",
    "string_pattern_mismatch": _pattern,
    "string_too_long": lambda context: f"at most {context['max_length']:,} characters",
    "string_too_short": _least_characters,
    "too_long": _entries("at most", "max_length"),
    "too_short": _entries("at least", "min_length"),
    "union_tag_invalid": lambda context: f"{context['discriminator']} is one of {context['expected_tags']}",
    "union_tag_not_found": lambda context: f"a key {context['discriminator']}, which says what it is",
}
