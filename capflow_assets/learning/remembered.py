"""What was worked out of a frame a moment ago: several candidates of a model are fitted to the very same one."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

T = TypeVar("T")
S = TypeVar("S")
P = ParamSpec("P")
# A training goes on from one moment to the next.
KEPT = 2


def remembered(function: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """``function``, whose last few results are kept as long as the very object lives that they were worked out of.

    Nobody may change that object, nor a result.

    >>> class Numbers(list): pass
    >>> seen = []
    >>> total = remembered(lambda numbers: seen.append(1) or sum(numbers))
    >>> one, other = Numbers([1, 2]), Numbers([1, 2])
    >>> total(one), total(one), total(other), len(seen)
    (3, 3, 3, 2)
    """
    results: list[tuple[weakref.ref[Any], Any, Any]] = []
    guard = threading.RLock()  # an object may go while this thread has it

    def forget(gone: weakref.ref[Any]) -> None:
        with guard:
            results[:] = [entry for entry in results if entry[0] is not gone]

    @wraps(function)
    def looked_up(of: S, *args: P.args, **named: P.kwargs) -> T:
        call = (args, tuple(sorted(named.items())))
        with guard:
            for known, arguments, result in results:
                if known() is of and arguments == call:
                    return result
        result = function(of, *args, **named)
        with guard:
            results[:] = [entry for entry in results if entry[0]() is not None][-KEPT + 1 :]
            results.append((weakref.ref(of, forget), call, result))
        return result

    return looked_up
