"""One writer for each customer: who writes a customer's tables holds the customer's lock, and the others wait for it.

Terminals, runs of the daemon, cohorts, steps on a cluster, ``forget``, ``retire`` and ``onboard --replace`` take it.
Readers take none, and two customers never wait for each other. A process that holds the lock may take it again. Its
child processes may, too: they find the holding's token in their environment and take a second lock, the writer's, for
which a new holder waits as well. So a customer whose supervisor died stays locked as long as a child of it still
writes. There are several writers' locks: children that work on different assets of the customer take one each, all
others wait for the first of them. A child's own children write under the child's lock.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from capflow_assets.errors import CapflowError, InUseError
from capflow_assets.home.places import Home
from capflow_assets.processes.locks import Holder, Lock, LockStore
from capflow_assets.processes.process_locks import lock_store

# The customers that ancestors of this process hold, each with the tokens of the holding and of the writer's, if any.
INHERITED = "CAPFLOW_HELD_CUSTOMERS"
# Set in a step that runs elsewhere: the process that launched it holds the locks.
HELD_ELSEWHERE = "CAPFLOW_HELD_BY_LAUNCHER"
WAIT_MINUTES = "CAPFLOW_LOCK_WAIT_MINUTES"
DEFAULT_WAIT_MINUTES = 15.0
LOOK_SECONDS = 0.3
CUSTOMER, WRITER = "customer-", "writer-"
# So many children may write one customer at once.
MOST_WRITERS = 8
WRITERS = (WRITER, *(f"writer{number}-" for number in range(2, MOST_WRITERS + 1)))
UNKNOWN = "a process that has not said who it is"
Say = Callable[[str], None]


@dataclass
class Holding:
    """A customer's lock, held by this process."""

    customer: str
    lock: Lock | None
    pid: int
    kind: str = CUSTOMER
    count: int = 1
    # The holder before this one died: what it was writing may lie about.
    is_after_death: bool = False
    # Whether other children of the customer's holder may be writing: then nothing of theirs is cleared up.
    is_beside_others: bool = False
    # What children are told, and what this process was.
    lineage: list[str] = field(default_factory=list)
    inherited: list[str] = field(default_factory=list)

    def require(self) -> None:
        """Refuse to go on once the lock is lost.

        Raises:
            InUseError: the connection that held it broke, and somebody else has it now.
        """
        if self.lock is not None and not self.lock.is_held():
            what = f"The lock of {self.customer} was lost: the connection to PostgreSQL broke"
            raise InUseError(what, do="run it again; the last good version of every table stays")


_held: dict[tuple[str, str], Holding] = {}
_guard = threading.RLock()


@contextmanager
def customer_lock(
    home: Home,
    customer: str,
    purpose: str,
    wait: float | None = None,
    say: Say = lambda words: None,
    *,
    is_lent: bool = True,
    beside_others: bool = False,
) -> Iterator[Holding]:
    """Hold a customer's lock. ``wait`` is in seconds, without end if None; ``say`` is told whom it waits for.

    Unless it ``is_lent``, child processes that are started meanwhile have no part in it. A child of the holder that
    writes ``beside_others`` does not wait for its siblings; what each of them makes is no other's.

    Raises:
        InUseError: somebody else held the lock all the time; names the holder.
    """
    if os.environ.get(HELD_ELSEWHERE):
        yield Holding(customer, None, os.getpid())
        return
    holding = _again(home, customer) or _first(
        home, customer, Holder.here(purpose), _Patience(customer, wait, say), is_lent, beside_others
    )
    try:
        yield holding
    finally:
        _left(home, holding)


def default_wait() -> float:
    """How many seconds a run of the daemon waits for a customer that somebody else writes.

    Raises:
        CapflowError: ``CAPFLOW_LOCK_WAIT_MINUTES`` is no number.
    """
    text = os.environ.get(WAIT_MINUTES) or str(DEFAULT_WAIT_MINUTES)
    try:
        minutes = float(text)
    except ValueError:
        minutes = -1
    if not 0 <= minutes < float("inf"):
        raise CapflowError(f"{WAIT_MINUTES} cannot be used", expected="a number of minutes", came=repr(text))
    return 60 * minutes


def _again(home: Home, customer: str) -> Holding | None:
    with _guard:
        holding = _held.get((str(home.root), customer))
        if holding is None or holding.pid != os.getpid():  # a forked child finds its parent's
            return None
        holding.count += 1
    holding.require()
    return holding


def _first(
    home: Home, customer: str, holder: Holder, patience: _Patience, is_lent: bool, beside_others: bool
) -> Holding:
    store, lineage = lock_store(home), _inherited().get(customer, [])
    holding = _as_child(store, customer, lineage, holder, patience, beside_others)
    if holding is None and len(lineage) > 1 and lineage[1] in (_token(store, kind, customer) for kind in WRITERS):
        return Holding(customer, None, os.getpid())
    holding = holding or _as_stranger(store, customer, holder, patience)
    with _guard:
        _held[str(home.root), customer] = holding
        if is_lent:
            above = [] if holding.kind == CUSTOMER else lineage[:1]
            holding.lineage, holding.inherited = [*above, holder.token], lineage
            _lend(customer, holding.lineage)
    return holding


def _as_child(
    store: LockStore, customer: str, lineage: list[str], holder: Holder, patience: _Patience, beside_others: bool
) -> Holding | None:
    """In a child of the process that holds the customer's lock, a writer's; None in any other process."""
    if len(lineage) != 1 or _token(store, CUSTOMER, customer) != lineage[0]:
        return None
    kind, lock = _writers_lock(store, customer, patience, beside_others)
    is_after_death = store.holder(kind + customer) is not None
    lock.note(holder)  # before the next look: a new holder waits for the writers that it finds noted
    if _token(store, CUSTOMER, customer) == lineage[0]:
        return Holding(customer, lock, os.getpid(), kind, 1, is_after_death, beside_others)
    if not is_after_death:
        lock.note(None)
    lock.release()  # the holder died, and there is a new one
    return None


def _writers_lock(store: LockStore, customer: str, patience: _Patience, beside_others: bool) -> tuple[str, Lock]:
    for kind in WRITERS if beside_others else ():
        if (lock := store.take(kind + customer)) is not None:
            return kind, lock
    return WRITER, patience.until(store, WRITER + customer)


def _as_stranger(store: LockStore, customer: str, holder: Holder, patience: _Patience) -> Holding:
    lock = patience.until(store, CUSTOMER + customer)
    is_after_death = store.holder(CUSTOMER + customer) is not None
    lock.note(holder)
    try:
        for kind in WRITERS:
            if kind == WRITER or store.holder(kind + customer) is not None:
                is_after_death |= _outlast_writer(store, kind + customer, patience)
    except BaseException:
        lock.release()
        raise
    return Holding(customer, lock, os.getpid(), is_after_death=is_after_death)


def _outlast_writer(store: LockStore, name: str, patience: _Patience) -> bool:
    """Wait for a child of an earlier holder, which died: the child may still be writing. Whether one died at it."""
    lock = patience.until(store, name)
    try:
        is_after_death = store.holder(name) is not None
        if is_after_death:
            lock.note(None)  # from here on the customer's own lock tells
    finally:
        lock.release()
    return is_after_death


def _left(home: Home, holding: Holding) -> None:
    with _guard:
        holding.count -= 1
        if holding.count or holding.lock is None or holding.pid != os.getpid():
            return
        _held.pop((str(home.root), holding.customer), None)
        if holding.lineage and _inherited().get(holding.customer) == holding.lineage:
            _lend(holding.customer, holding.inherited)
    try:
        # What a dead holder left was not cleaned: the next one is to know.
        if not holding.is_after_death and holding.lock.is_held():
            holding.lock.note(None)
            if holding.kind == CUSTOMER and not home.has(holding.customer):
                forget_name(home, holding.customer)  # whoever waited while it was retired leaves no name either
    finally:
        holding.lock.release()


def forget_name(home: Home, customer: str) -> None:
    """Leave nothing of the locks of a customer that is gone; to be called while holding them."""
    store = lock_store(home)
    for kind in (CUSTOMER, *WRITERS):
        store.remove(kind + customer)


class _Patience:
    """How long is waited for a lock, and what is said meanwhile."""

    def __init__(self, customer: str, wait: float | None, say: Say) -> None:
        self._customer, self._say = customer, say
        self._wait, self._began = wait, time.monotonic()
        self._said = ""

    def until(self, store: LockStore, name: str) -> Lock:
        """The lock, once it is free."""
        while (lock := store.take(name)) is None:
            holder = store.holder(name)
            words = holder.words() if holder else UNKNOWN
            waited = time.monotonic() - self._began
            if self._wait is not None and waited >= self._wait:
                raise InUseError(
                    f"{self._customer} is in use by somebody else",
                    expected=f"its lock within {self._wait:g} s" if self._wait else "its lock to be free",
                    came=words,
                    do="wait for it, or stop that process; its lock is free as soon as it is gone",
                )
            # Who took it a moment ago has not said so yet, who gives it back says so before: neither is news.
            if words != self._said and (holder or (not self._said and waited >= LOOK_SECONDS)):
                self._said = words
                self._say(f"waiting for {self._customer}, which is in use: {words}")
            time.sleep(LOOK_SECONDS if self._wait is None else min(LOOK_SECONDS, max(0.01, self._wait - waited)))
        return lock


def _token(store: LockStore, kind: str, customer: str) -> str | None:
    holder = store.holder(kind + customer)
    return holder.token if holder else None


def _inherited() -> dict[str, list[str]]:
    return dict(json.loads(os.environ.get(INHERITED) or "{}"))


def _lend(customer: str, lineage: list[str]) -> None:
    others = {name: tokens for name, tokens in _inherited().items() if name != customer}
    holdings = others | ({customer: lineage} if lineage else {})
    if holdings:
        os.environ[INHERITED] = json.dumps(holdings)
    else:
        os.environ.pop(INHERITED, None)
