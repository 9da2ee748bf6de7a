"""What kind of value an expression has: text, a number, a day, a local time or an instant. Pure.

An engine's types tell local times (``timestamp_ntz``) from instants (``timestamp``), but what its functions make of
text is always an instant of the session's zone. So each function says here what it makes, and ``conversions`` spells it
so that the type is true: an instant is one in the customer's zone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from capflow_assets.landing.number_formats import PLAIN, NumberFormat
from capflow_assets.landing.row_expressions.vocabulary import words_of

if TYPE_CHECKING:
    import pyspark.sql.types as st

TEXT, NUMBER, TRUTH, NULL = "text", "number", "truth", "null"
DAY, LOCAL, INSTANT, TIME = "day", "local time", "instant", "time of day"
# Of days, weeks, months or years, which a calendar counts; and of hours or less, which a stop-watch does.
CALENDAR_SPAN, EXACT_SPAN = "span of days", "span of hours"
SPANS = (CALENDAR_SPAN, EXACT_SPAN)
UNKNOWN = ""
TIMES = (DAY, LOCAL, INSTANT)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an expression's columns hold, and how their text is to be read.

    ``types`` are the engine's, by column; ``zone`` is the one of local times; ``numbers`` is how numbers are written in
    columns of text (what an expression makes of text itself has a point for the decimals).
    """

    types: Mapping[str, st.DataType] = field(default_factory=dict)
    zone: str = "UTC"
    numbers: NumberFormat = PLAIN


_OF_TYPES = {
    "string": TEXT,
    "varchar": TEXT,
    "char": TEXT,
    **dict.fromkeys(("byte", "short", "integer", "long", "float", "double", "decimal"), NUMBER),
    "boolean": TRUTH,
    "date": DAY,
    "timestamp_ntz": LOCAL,
    "timestamp": INSTANT,
    "time": TIME,
}


def kind_of(type: Any) -> str:
    """The kind of values of an engine's type; unknown for those with parts."""
    return UNKNOWN if type is None else _OF_TYPES.get(type.typeName(), UNKNOWN)


def part_of(type: Any, name: str) -> Any:
    """The type of a part of a struct by its name, capital letters aside; None where that is not known."""
    fields = getattr(type, "fields", None) or ()
    return next((field.dataType for field in fields if field.name.lower() == name.lower()), None)


def element_of(type: Any) -> Any:
    """The type of a list's elements, or of a map's values; None where that is not known."""
    return getattr(type, "elementType", None) or getattr(type, "valueType", None)


_NUMBERS = words_of(
    "abs acos acosh asin asinh atan atan2 atanh bround cbrt ceil ceiling cos cosh cot csc degrees e exp expm1 floor "
    "hypot ln log log10 log1p log2 mod negative pi pmod positive pow power radians rint round sec sign signum sin sinh "
    "sqrt tan tanh try_divide try_mod try_multiply width_bucket"
)
_WHOLE_NUMBERS = words_of("bit_count factorial shiftleft shiftright shiftrightunsigned")
_OTHER_NUMBERS = words_of(
    "ascii array_position array_size bit_get bit_length cardinality char_length character_length crc32 datediff "
    "date_diff date_part datepart day dayofmonth dayofweek dayofyear find_in_set getbit hash hour instr "
    "json_array_length len length levenshtein locate minute month months_between octet_length position quarter "
    "regexp_count regexp_instr second size timestampdiff to_number to_unix_timestamp try_to_number unix_date "
    "unix_micros unix_millis unix_seconds unix_timestamp weekday weekofyear xxhash64 year"
)
_TRUTHS = words_of(
    "array_contains arrays_overlap contains endswith equal_null exists forall ilike is_valid_utf8 isnan isnotnull "
    "isnull like luhn_check map_contains_key regexp regexp_like rlike startswith"
)
_TEXTS = words_of(
    "array_join base64 bin btrim char chr concat_ws conv date_format dayname elt format_number format_string "
    "from_unixtime get_json_object hex initcap lcase left lower lpad ltrim make_valid_utf8 mask md5 monthname overlay "
    "parse_url printf quote regexp_extract regexp_replace regexp_substr repeat replace right rpad rtrim sha sha1 sha2 "
    "soundex space split_part substr substring substring_index to_char to_json to_varchar translate trim try_parse_url "
    "try_url_decode try_validate_utf8 typeof ucase upper url_decode url_encode validate_utf8"
)
# Those that read numbers from their arguments, at these places; all of them where none is named.
NUMERIC_ARGUMENTS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(_NUMBERS, ()),
    **dict.fromkeys(("nullifzero", "zeroifnull", "isnan", "nanvl"), ()),
    "format_number": (0,),
    "timestamp_seconds": (0,),
}
WHOLE_ARGUMENTS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(_WHOLE_NUMBERS, ()),
    **dict.fromkeys(("timestamp_millis", "timestamp_micros", "from_unixtime", "date_from_unix_date"), (0,)),
    **dict.fromkeys(("add_months", "date_add", "date_sub", "dateadd", "timestampadd"), (1,)),
    "make_date": (),
}
RESULTS: dict[str, str] = {
    **dict.fromkeys(_NUMBERS | _WHOLE_NUMBERS | _OTHER_NUMBERS, NUMBER),
    **dict.fromkeys(("nullifzero", "zeroifnull", "nanvl"), NUMBER),
    **dict.fromkeys(_TRUTHS, TRUTH),
    **dict.fromkeys(_TEXTS, TEXT),
    **dict.fromkeys(("add_months", "date_add", "date_sub", "last_day", "make_date", "next_day", "trunc"), DAY),
    "date_from_unix_date": DAY,
    **dict.fromkeys(("timestamp_seconds", "timestamp_millis", "timestamp_micros"), INSTANT),
    **dict.fromkeys(("make_timestamp_ntz", "try_make_timestamp_ntz"), LOCAL),
    **dict.fromkeys(("make_time", "to_time", "try_to_time"), TIME),
    **dict.fromkeys(("make_interval", "make_ym_interval", "try_make_interval"), CALENDAR_SPAN),
    "make_dt_interval": CALENDAR_SPAN,
}
# The first argument of these is text, whatever it is given; of those with a star, every one is.
READ_TEXT = words_of(
    "btrim contains endswith ilike initcap instr lcase left length like lower lpad ltrim mask overlay regexp "
    "regexp_count regexp_extract regexp_instr regexp_like regexp_replace regexp_substr replace reverse right rlike "
    "rpad rtrim split split_part startswith substr substring substring_index translate trim ucase upper md5 sha sha1 "
    "sha2 crc32"
)
READ_TEXTS = words_of("concat concat_ws format_string printf")
# Those that take a day, or the fields of a clock, out of a time; and where that stands.
OF_DAYS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("add_months", "date_add", "date_sub", "last_day", "next_day", "trunc", "unix_date"), (0,)),
    **dict.fromkeys(("day", "dayname", "dayofmonth", "dayofweek", "dayofyear", "month", "monthname", "quarter"), (0,)),
    **dict.fromkeys(("weekday", "weekofyear", "year"), (0,)),
}
OF_CLOCKS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("hour", "minute", "second", "date_format"), (0,)),
    **dict.fromkeys(("date_part", "datepart"), (1,)),
    "months_between": (0, 1),
}
OF_INSTANTS = words_of("unix_seconds unix_millis unix_micros")
CALENDAR_UNITS = words_of("DAY DAYOFYEAR WEEK MONTH QUARTER YEAR DAYS WEEKS MONTHS YEARS")


@dataclass(frozen=True, slots=True)
class _Plain:
    name: str

    def typeName(self) -> str:  # noqa: N802  (as the engine's types have it)
        return self.name


@dataclass(frozen=True, slots=True)
class _ListOf:
    elementType: _Plain  # noqa: N815

    def typeName(self) -> str:  # noqa: N802
        return "array"


# A list of texts, such as ``split`` makes.
TEXTS = _ListOf(_Plain("string"))
