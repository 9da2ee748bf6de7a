"""Expressions that reach for another customer's rows, in as many spellings as a reader of SQL might take otherwise."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st

COLUMNS = ("user_id", "amount", "name", "a b", "o`dd")
CANARY = "canary of another customer"

# Each reads a canary, makes more rows, or says what no row says, if the engine is given it as it is.
PAYLOADS = (
    "(select concat_ws(';', collect_list(secret)) from delta.`{table}`)",
    "(select max(secret) from delta.`{table}`)",
    "(from delta.`{table}` select max(secret))",
    "(select max(value) from text.`{file}`)",
    "(select max(secret) from parquet.`{parquet}`)",
    "(with t as (select secret from delta.`{table}`) select max(secret) from t)",
    "exists(select 1 from delta.`{table}`)",
    "user_id in (select secret from delta.`{table}`)",
    "array((select max(secret) from delta.`{table}`))[0]",
    "(table delta.`{table}`)",
    "explode(split('a,b', ','))",
    "posexplode_outer(array(1, 2))",
    "inline(array(struct(1)))",
    "stack(2, 1, 2)",
    "now()",
    "uuid()",
    "rand()",
    "current_timestamp",
    "current_user()",
    "unix_timestamp()",
    "input_file_name()",
    "java_method('java.lang.System', 'getenv', 'HOME')",
    "max(user_id)",
    "max(user_id) over ()",
    "collect_list(user_id)",
    "raise_error('x')",
)
# The five that a filter of words let through, and their siblings: the engine reads SQL where a filter sees a text.
DISGUISES = (
    r"r'\' || {} || r'\'",
    r'R"\" || {} || R"\"',
    "$$'$$ || {} || $$'$$",
    "$tag$'$tag$ || {} || $tag$'$tag$",
    "/* /* */ ' */ {} /* ' */",
    "/* ' */ {} /* ' */",
    "user_id || -- x\r {}",
    "user_id || -- x\u2028 {}",
    "user_id || -- x\x0b {}",
    "user_id || -- '\n {} -- '",
    "-- '\r\n {}",
    "' -- ' || {}",
    r"'\\' || {} || '\\'",
    r"'\'' || {} || '\''",
    "'''' || {} || ''''",
    '"\'" || {} || "\'"',
    "`a``b` || {}",
    "`'` || {} || `'`",
    "concat('`', {}, '`')",
    "{} -- ",
    "coalesce({}, name)",
    "case when true then {} end",
    "cast({} as string)",
    "({})",
    "(((({}))))",
    "if(amount > 0, {}, {})",
    "name || {}",
    "not {}",
    "- {}",
    "transform(array(1), x -> {})[0]",
    "named_struct('a', {}).a",
    "{}::string",
    "date '2024-01-01' + {}",
    "${{x}} || {}",
    "e'\\'' || {} || e'\\''",
    "b'\\' || {} || b'\\'",
    "U&'\\' || {} || U&'\\'",
    "name = {} => name",
    "upper(a => {})",
    "name) || {} || (name",
    "name, {}",
    "name; select {}",
    "{} as x",
    "{} from x",
)
BLANKS = (
    " ",
    "\t",
    "\n",
    "\r",
    "\r\n",
    "\x0b",
    "\x0c",
    "\u00a0",
    "\u2003",
    "\u3000",
    "\ufeff",
    "/**/",
    "/* ' */",
    "--\n",
)
LOOKALIKES = {"s": "ſ", "k": "\u212a", "i": "ı", "e": "е", "a": "а", "o": "ο", "c": "с", "x": "х"}
QUOTED_CALLS = ("`{}`(", "{} (", "{}/**/(", "`{}` (", "system.builtin.{}(", "`system`.`builtin`.`{}`(")


def _cased(text: str, pattern: list[int]) -> str:
    forms: tuple[Callable[[str], str], ...] = (
        str,
        str.upper,
        str.lower,
        lambda character: LOOKALIKES.get(character, character),
    )
    return "".join(forms[pattern[place % len(pattern)]](character) for place, character in enumerate(text))


def _called(payload: str, form: str) -> str:
    name, parenthesis, rest = payload.partition("(")
    return form.format(name) + rest if name.isidentifier() and parenthesis else payload


@st.composite
def spellings(draw: st.DrawFn) -> str:
    """A payload in a disguise: letters, blanks, comments, quotes, parentheses and what stands around it vary.

    It has ``{table}``, ``{file}`` and ``{parquet}`` where the places of the canaries belong.
    """
    payload = draw(st.sampled_from(PAYLOADS))
    if draw(st.booleans()):
        payload = _called(payload, draw(st.sampled_from(QUOTED_CALLS)))
    head, brace, rest = payload.partition("{")
    pattern = draw(st.lists(st.sampled_from((0, 0, 0, 1, 2, 3)), min_size=1, max_size=7))
    payload = _cased(head, pattern) + brace + rest
    payload = payload.replace(" ", draw(st.sampled_from(BLANKS)))
    for _ in range(draw(st.integers(0, 2))):
        disguise = draw(st.sampled_from(DISGUISES))
        payload = disguise.replace("{{", "{").replace("}}", "}").replace("{}", payload)
    noise = draw(
        st.sampled_from(("", "", "", "'", '"', "`", "\\", "$$", "/*", "*/", "--", "\r", "ſ", ")", "(", "#", "{"))
    )
    return draw(st.sampled_from((payload + noise, noise + payload, payload)))
