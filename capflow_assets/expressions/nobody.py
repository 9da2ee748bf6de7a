"""Words that stand where a user's id does and mean nobody."""

from __future__ import annotations

import re

NOBODY = re.compile(
    r"null|none|nil|nan|n\.?/?a\.?|#n/a|undefined|unknown|anonym(?:ous|e)?|guest|walk[ _-]?in|nobody"
    r"|no[ _-]?(?:card|user|id|customer)|[-_.?*/]+",
    re.IGNORECASE,
)
# Words that may be somebody's id as well: they are named where they buy as nobody does.
PERHAPS_NOBODY = re.compile(r"-1|0+|9{4,}|x+|test|default|dummy|cash|other", re.IGNORECASE)


def may_mean_nobody(user: str) -> bool:
    """Whether an id is such a word, so that it identifies no person.

    >>> [may_mean_nobody(user) for user in ("NULL", "-", "99999999", "U1", "ann@x.org")]
    [True, True, True, False, False]
    """
    return bool(NOBODY.fullmatch(user) or PERHAPS_NOBODY.fullmatch(user))
