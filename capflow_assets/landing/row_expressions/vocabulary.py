"""The words that an expression over one row may use, and why others are refused. Pure: words alone.

A function is here if its result depends on its arguments only, if it gives one value for one row, and if it reads
nothing but its arguments. What is not here is refused.
"""

from __future__ import annotations


def words_of(*texts: str) -> frozenset[str]:
    """The words of several texts."""
    return frozenset(word for text in texts for word in text.split())


FUNCTIONS = words_of(
    # Choices and nulls
    "coalesce equal_null greatest if ifnull isnan isnotnull isnull least nanvl nullif nullifzero nvl nvl2 zeroifnull ",
    # Conversions
    "base64 bigint bin binary boolean char chr conv date decimal decode double encode float hex int smallint string "
    "timestamp tinyint to_binary to_char to_number to_varchar try_to_binary try_to_number typeof unbase64 unhex ",
    # Numbers
    "abs acos acosh asin asinh atan atan2 atanh bit_count bit_get bround cbrt ceil ceiling cos cosh cot csc degrees "
    "div e exp expm1 factorial floor getbit hypot ln log log10 log1p log2 mod negative pi pmod positive pow power "
    "radians rint round sec shiftleft shiftright shiftrightunsigned sign signum sin sinh sqrt tan tanh "
    "try_add try_divide try_mod try_multiply try_subtract width_bucket ",
    # Text
    "ascii bit_length btrim char_length character_length concat concat_ws contains elt endswith find_in_set "
    "format_number format_string ilike initcap instr is_valid_utf8 lcase left len length levenshtein like locate lower "
    "lpad ltrim luhn_check make_valid_utf8 mask octet_length overlay parse_url position printf quote repeat replace "
    "reverse right rpad rtrim soundex space split split_part startswith substr substring substring_index translate "
    "trim try_parse_url try_url_decode try_validate_utf8 ucase upper url_decode url_encode validate_utf8 ",
    # Regular expressions
    "regexp regexp_count regexp_extract regexp_extract_all regexp_instr regexp_like regexp_replace regexp_substr "
    "rlike ",
    # Days and times
    "add_months convert_timezone date_add date_diff date_format date_from_unix_date date_part date_sub date_trunc "
    "dateadd datediff datepart day dayname dayofmonth dayofweek dayofyear from_unixtime from_utc_timestamp hour "
    "last_day make_date make_dt_interval make_interval make_time make_timestamp make_timestamp_ltz make_timestamp_ntz "
    "make_ym_interval minute month monthname months_between next_day quarter second timestamp_micros timestamp_millis "
    "timestamp_seconds timestampadd timestampdiff to_date to_time to_timestamp to_timestamp_ltz to_timestamp_ntz "
    "to_unix_timestamp to_utc_timestamp trunc try_make_interval try_make_timestamp try_make_timestamp_ltz "
    "try_make_timestamp_ntz try_to_date try_to_time try_to_timestamp unix_date unix_micros unix_millis unix_seconds "
    "unix_timestamp weekday weekofyear year ",
    # Hashes
    "crc32 hash md5 sha sha1 sha2 xxhash64 ",
    # JSON, lists, maps and parts, from which a plain value is taken in the end
    "get_json_object json_array_length json_object_keys to_json "
    "aggregate array array_append array_compact array_contains array_distinct array_except array_insert "
    "array_intersect array_join array_max array_min array_position array_prepend array_remove array_repeat array_size "
    "array_sort array_union arrays_overlap arrays_zip cardinality element_at exists filter flatten forall get reduce "
    "sequence size slice sort_array transform try_element_at zip_with "
    "map map_concat map_contains_key map_entries map_filter map_from_arrays map_from_entries map_keys map_values "
    "map_zip_with named_struct str_to_map struct transform_keys transform_values",
)
# Those that take a function of a list's parts: `x -> x + 1`.
TAKE_LAMBDAS = words_of(
    "aggregate array_sort exists filter forall map_filter map_zip_with reduce transform transform_keys "
    "transform_values zip_with"
)
# Those whose first argument may be a unit that stands without quotes.
TAKE_UNITS = words_of("dateadd date_add datediff date_diff timestampadd timestampdiff")
UNITS = words_of("DAY DAYOFYEAR HOUR MICROSECOND MILLISECOND MINUTE MONTH QUARTER SECOND WEEK YEAR")
PARTS = words_of(
    "CENTURY D DAY DAYOFWEEK DAYOFWEEK_ISO DAYS DECADE DOW DOW_ISO DOY H HOUR HOURS HR HRS M MILLENNIUM MIN MINS "
    "MINUTE MINUTES MON MONS MONTH MONTHS QTR QUARTER S SEC SECOND SECONDS SECS W WEEK WEEKS Y YEAR YEAROFWEEK YEARS "
    "YR YRS"
)
INTERVALS = frozenset(
    f"{unit}{ending}"
    for unit in words_of("DAY HOUR MICROSECOND MILLISECOND MINUTE MONTH SECOND WEEK YEAR")
    for ending in ("", "S")
)
# The embedded engine may write out an argument twice or more while it plans, and all that is in it: 15 levels of some
# functions within each other take it minutes, six of an array of arrays. Those that were measured to grow in line with
# their depth, and those that weigh most; all others weigh one.
LINEAR = words_of(
    "abs ceil concat floor greatest if lcase least left lower nullif nvl2 pmod regexp_extract regexp_replace replace "
    "right round split split_part substring_index translate try_add try_divide try_multiply try_subtract ucase upper"
)
HEAVY = words_of(
    "aggregate array filter map map_from_arrays named_struct reduce sequence struct transform transform_keys "
    "transform_values zip_with"
)
# What makes as much as a number says, and which argument that is; any of them where None. A billion signs in each row
# take all memory there is.
SIZES: dict[str, int | None] = {
    "array_insert": 1,
    "array_repeat": 1,
    "format_number": 1,
    "format_string": 0,
    "lpad": 1,
    "printf": 0,
    "repeat": 1,
    "rpad": 1,
    "sequence": None,
    "space": 0,
}
BEYOND = 1 << 62
# Without that many arguments they read the clock.
LEAST_ARGUMENTS = {"unix_timestamp": 1, "to_unix_timestamp": 1}

TABLE = "reads another table"
ROWS = "makes several rows of one"
CHANGES = "gives something else every time"
SESSION = "tells of the session, not of the row"
OUTSIDE = "reaches outside the row"
SUMS = "sums up many rows"
OTHERS = "looks at other rows"
STOPS = "stops the whole table where it meets a row that it does not like"

_REFUSED = {
    TABLE: "select from values table with union intersect except join lateral tablesample",
    ROWS: "explode explode_outer posexplode posexplode_outer inline inline_outer stack json_tuple range "
    "variant_explode variant_explode_outer sql_keywords collations",
    CHANGES: "rand random randn randstr uniform uuid shuffle now curdate current_date current_time current_timestamp "
    "localtimestamp monotonically_increasing_id spark_partition_id aes_encrypt try_aes_encrypt",
    SESSION: "current_user session_user user current_catalog current_database current_schema current_timezone version "
    "current_path session_window window window_time",
    OUTSIDE: "read_files read_kafka reflect java_method try_reflect input_file_name input_file_block_start "
    "input_file_block_length secret ai_query http_request xpath xpath_boolean xpath_double xpath_float xpath_int "
    "xpath_long xpath_number xpath_short xpath_string from_xml schema_of_xml cloud_files_state event_log "
    "from_avro to_avro from_protobuf to_protobuf",
    SUMS: "sum count avg mean min max first last first_value last_value any_value any some every bool_and bool_or "
    "collect_list collect_set array_agg listagg string_agg count_if approx_count_distinct approx_percentile corr "
    "covar_pop covar_samp count_min_sketch histogram_numeric kurtosis max_by median min_by mode percentile "
    "percentile_approx percentile_cont percentile_disc regr_avgx regr_avgy regr_count regr_intercept regr_r2 "
    "regr_slope skewness std stddev stddev_pop stddev_samp sum_distinct try_avg try_sum var_pop var_samp variance "
    "bit_and bit_or bit_xor grouping grouping_id product",
    OTHERS: "over lag lead rank dense_rank percent_rank row_number ntile nth_value cume_dist",
    STOPS: "raise_error assert_true",
}
REASONS = {word: reason for reason, words in _REFUSED.items() for word in words.split()}
# What to write in the place of a refused word, where a word alone says it.
INSTEAD = {
    "first": "coalesce takes the first of several columns that is not null",
    "max": "greatest takes the largest of several columns",
    "min": "least takes the smallest of several columns",
    "sum": "write a + b to add columns of one row; bills of several rows are summed up by cleaning",
    "count": "count nothing here: cleaning and features do",
    "json_tuple": "write get_json_object(column, '$.name')",
    "explode": "write element_at(split(column, ','), 1) to take one part",
    "uuid": "leave bill_id out of the columns: landing makes one of the row's values",
    "any": "write a or b",
    "some": "write a or b",
    "every": "write a and b",
    "xpath_string": "write regexp_extract(column, '<name>(.*?)</name>', 1)",
}
# No column's name unless in backquotes: the engine gives them a meaning without parentheses.
NEVER_COLUMNS = words_of(
    "select table values current_date current_time current_timestamp current_user current_catalog current_database "
    "current_schema"
)
STRUCTURE = words_of("and as between case div else end escape ilike in is like not or regexp rlike then when")

PLAIN_TYPES = {
    "bigint": "BIGINT",
    "binary": "BINARY",
    "boolean": "BOOLEAN",
    "byte": "TINYINT",
    "date": "DATE",
    "double": "DOUBLE",
    "float": "FLOAT",
    "int": "INT",
    "integer": "INT",
    "long": "BIGINT",
    "real": "FLOAT",
    "short": "SMALLINT",
    "smallint": "SMALLINT",
    "string": "STRING",
    "timestamp": "TIMESTAMP",
    "timestamp_ltz": "TIMESTAMP_LTZ",
    "timestamp_ntz": "TIMESTAMP_NTZ",
    "time": "TIME",
    "tinyint": "TINYINT",
}
# With the most numbers that may stand in parentheses behind it.
SIZED_TYPES = {
    "dec": ("DECIMAL", 2),
    "decimal": ("DECIMAL", 2),
    "numeric": ("DECIMAL", 2),
    "char": ("CHAR", 1),
    "character": ("CHAR", 1),
    "varchar": ("VARCHAR", 1),
}
# Typed literals. Words such as 'now' would read the clock.
TYPED = {"date": "DATE", "time": "TIME"} | {
    f"timestamp{kind}": f"TIMESTAMP{kind.upper()}" for kind in ("", "_ltz", "_ntz")
}
# Binary operators by how tightly they bind, as Spark's grammar has it; those of one level go from left to right.
OPERATORS = {
    **dict.fromkeys(("OR",), 1),
    **dict.fromkeys(("AND",), 2),
    **dict.fromkeys(("=", "==", "<=>", "<>", "!=", "<", "<=", ">", ">=", "!<", "!>"), 5),
    "|": 6,
    "^": 7,
    "&": 8,
    **dict.fromkeys(("<<", ">>", ">>>"), 9),
    **dict.fromkeys(("+", "-", "||"), 10),
    **dict.fromkeys(("*", "/", "%", "DIV"), 11),
}
NOT_LEVEL, PREDICATE_LEVEL, COMPARISON_LEVEL = 3, 4, 5


def weight(name: str) -> int:
    """How much a function adds to what planning costs, as a power of two."""
    return 0 if name in LINEAR else 3 if name in HEAVY else 1
