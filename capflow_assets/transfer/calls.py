"""Calls of an HTTP interface that keep to its limits and try again: what to wait, and when it is ``unknown``.

A call is tried again when nothing was sent, when no answer came, and when the answer says "later" (408, 425, 429, 5xx).
The wait doubles from try to try, and is as long as the answer asks for: ``Retry-After`` (seconds or a date),
``RateLimit-Reset`` (seconds) or ``X-RateLimit-Reset`` (epoch seconds). An answer that leaves no call in the window
holds the next one back until the window is over.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from capflow_assets.errors import DeliveryError, DeliveryUnknown
from capflow_assets.transfer.http import Answer, Endpoint, NoAnswer, NotSent, url_problem
from capflow_assets.transfer.secrets import Hidden, first_line

LATER = frozenset({408, 425, 429, 500, 502, 503, 504})
LIMITED = 429
# A gateway that answers so has sent the request on, and does not know what became of it.
UNKNOWN = frozenset({502, 504})
FORBIDDEN = frozenset({401, 403})
RESENT = "run it again: it is sent under the same id, and what was taken is not taken twice"


def _without_login(url: Any) -> Any:
    """An address, hidden before anything can complain of it where it holds credentials."""
    return Hidden() if isinstance(url, str) and "@" in url.partition("?")[0] else url


def _shown(url: Any) -> Any:
    if isinstance(url, Hidden):
        raise ValueError("an address without user and password")
    return url


# Of before-validators, the last runs first.
Address = Annotated[str, BeforeValidator(_shown), BeforeValidator(_without_login)]


class HttpOptions(BaseModel):
    """An address and how patiently it is called."""

    model_config = ConfigDict(extra="forbid", defer_build=True, frozen=True)

    url: Address = Field(description="The address, https://…")
    timeout_seconds: float = Field(30.0, gt=0, le=600, description="Longest wait for a connection, and for an answer.")
    tries: int = Field(6, ge=1, le=20, description="How often one request is tried.")
    first_wait_seconds: float = Field(1.0, gt=0, le=60, description="The wait before the second try; it doubles.")
    most_wait_seconds: float = Field(300.0, gt=0, le=3600, description="Longest wait that a destination may ask for.")
    allow_private: bool = Field(False, description="Whether a host of a private network, and http://, may be called.")

    @model_validator(mode="after")
    def _is_address(self) -> Self:
        problem = url_problem(self.url, may_be_private=self.allow_private)
        if problem:
            raise ValueError(problem)
        return self


class Calls:
    """Calls of one destination, within its limits.

    ``what`` is what people call it. ``limits`` are pairs of calls and seconds: no more calls than that arrive in any
    such time. ``secrets`` are not shown when it answers with them.
    """

    def __init__(
        self,
        options: HttpOptions,
        what: str,
        limits: Sequence[tuple[int, float]] = (),
        secrets: Iterable[str] = (),
        url: str = "",
    ) -> None:
        self._options = options
        self._endpoint = Endpoint(
            url or options.url, timeout_seconds=options.timeout_seconds, may_be_private=options.allow_private
        )
        self._what = what
        self._limits = limits
        self._secrets = tuple(secrets)
        self._ends: deque[float] = deque(maxlen=max((count for count, _ in limits), default=1))
        self._not_before = 0.0
        self.path = self._endpoint.path
        self.host = self._endpoint.host

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._endpoint.close()

    def call(self, method: str, path: str, body: bytes | None, headers: Callable[[], Mapping[str, str]]) -> Answer:
        """The answer, of whatever status that is not "later"; ``headers`` are asked for at each try.

        Raises:
            DeliveryError: it is not reached, or says "later" to the last try: nothing of this call was taken.
            DeliveryUnknown: a try was sent and not answered, and no later one was.
        """
        is_unknown, why, wait = False, "", 0.0
        for attempt in range(self._options.tries):
            if attempt:
                time.sleep(wait)
            wait = self._backed_off(attempt)
            self._keep_to_limits()
            try:
                answer = self._endpoint.request(method, path, body, headers())
            except NotSent as error:
                why = str(error)
                if error.is_final:
                    break
                continue
            except NoAnswer as error:
                is_unknown, why = True, str(error)
                continue
            finally:
                # Of its begin and its end, the server knows the call at some time between.
                self._ends.append(time.time())
            self._note_window(answer.headers)
            if answer.status not in LATER:
                return answer
            is_unknown = is_unknown or answer.status in UNKNOWN
            why = self.said(answer)
            wait = max(wait, asked_wait(answer.headers, time.time(), is_limited=answer.status == LIMITED))
            if wait > self._options.most_wait_seconds:
                why += f"; it asks to wait {wait:,.0f} s"
                break
        raise self._ended(is_unknown, why)

    def said(self, answer: Answer) -> str:
        """An answer for people: the status and the first line of what it says, without secrets."""
        text = first_line(ValueError(answer.body[:10_000].decode(errors="replace")), *self._secrets)
        return f"{answer.status} {text}" if answer.body.strip() else f"{answer.status}"

    def refusal(self, answer: Answer) -> DeliveryError:
        """What to say of an answer that refuses the whole delivery."""
        if 300 <= answer.status < 400:
            do = "give the address that it leads to, if it is the right one: redirects are not followed"
            to = answer.headers.get("location", "")
            received = f"{answer.status}, to {to[:300]}"
            return DeliveryError(f"{self._what} redirects", came=received, where=self.host, do=do)
        what, do = f"{self._what} does not take the request", "check the address and the options"
        if answer.status in FORBIDDEN:
            what, do = f"{self._what} does not accept the credentials", "check the key and what its owner may do"
        if answer.status == 410:
            what, do = f"{self._what} has been ended by its owner", "take it out of the customer's TOML, or agree anew"
        return DeliveryError(what, came=self.said(answer), where=self.host, do=do)

    def _ended(self, is_unknown: bool, why: str) -> DeliveryError:
        if is_unknown:
            return DeliveryUnknown(
                f"{self._what} was sent rows and gave no answer", came=why, where=self.host, do=RESENT
            )
        do = "see whether it is up and whether this machine may reach it, then run it again"
        return DeliveryError(f"{self._what} cannot be reached now", came=why, where=self.host, do=do)

    def _backed_off(self, attempt: int) -> float:
        """Twice as long each time, spread so that customers do not come back all at once."""
        longest = min(self._options.most_wait_seconds, self._options.first_wait_seconds * 2**attempt)
        return longest * random.uniform(0.5, 1)  # noqa: S311

    def _keep_to_limits(self) -> None:
        now = time.time()
        time.sleep(max(0.0, self._not_before - now, paced_wait(self._ends, self._limits, now)))

    def _note_window(self, headers: Mapping[str, str]) -> None:
        left = headers.get("x-ratelimit-remaining", headers.get("ratelimit-remaining", "1"))
        if left.strip() == "0":
            now = time.time()
            self._not_before = now + min(asked_wait(headers, now, is_limited=True), self._options.most_wait_seconds)


def asked_wait(headers: Mapping[str, str], now: float, *, is_limited: bool) -> float:
    """The seconds that an answer asks to wait; 0 where it does not, or not in a known form.

    The end of the window counts where the limit is reached (``is_limited``); else it is said beside every answer.

    >>> window = {"x-ratelimit-reset": "1700000012"}
    >>> [asked_wait(window, 1_700_000_000, is_limited=limited) for limited in (True, False)]
    [12.0, 0.0]
    >>> texts = ("7", "Thu, 01 Jan 1970 00:01:00 GMT", "soon")
    >>> [asked_wait({"retry-after": text}, 20, is_limited=False) for text in texts]
    [7.0, 40.0, 0.0]
    """
    retry_after = headers.get("retry-after", "")
    waits = [_number(retry_after)]
    if is_limited:
        waits += [_number(headers.get("ratelimit-reset", "")), _number(headers.get("x-ratelimit-reset", "")) - now]
    if retry_after and not retry_after.strip().isdecimal():
        with suppress(ValueError):
            waits.append(parsedate_to_datetime(retry_after).timestamp() - now)
    return max(0.0, *waits)


def paced_wait(ends: Sequence[float], limits: Iterable[tuple[int, float]], now: float) -> float:
    """The seconds until one more call keeps within all limits; ``ends`` are the earlier calls', in order.

    >>> paced_wait([0.0, 0.2, 0.4], [(3, 1.0)], 0.5), paced_wait([0.0, 0.2], [(3, 1.0)], 0.5)
    (0.5, 0.0)
    """
    waits = [ends[-count] + seconds - now for count, seconds in limits if len(ends) >= count]
    return max(0.0, *waits) if waits else 0.0


def _number(text: str) -> float:
    return float(text) if text.strip().isdecimal() else 0.0
