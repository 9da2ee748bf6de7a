"""What a client is told that gets no answer: problem details by RFC 9457, one class for all of them."""

from __future__ import annotations

from typing import Any

TYPE = "https://capflow.dev/problems/"
TITLES = {
    400: "The request cannot be read",
    401: "A token is needed",
    404: "There is no such resource",
    405: "The method is not allowed here",
    408: "The request took too long to arrive",
    413: "The request is too large",
    422: "The request cannot be answered as it is",
    429: "More was asked for than the customer's share",
    500: "An error of the server",
    503: "Nothing can be said now",
}
MOST_CHARACTERS = 500


class ProblemError(Exception):
    """A request that gets no answer: an HTTP status and what to do about it, fit to be shown."""

    # How a client may show who it is, where that is what lacks.
    challenge = "Bearer"

    def __init__(self, status: int, detail: str, *, retry_after_s: float | None = None, **more: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail[:MOST_CHARACTERS]
        self.retry_after_s = retry_after_s
        self.more = more

    def content(self) -> dict[str, Any]:
        """The members of the problem details."""
        title = TITLES.get(self.status, "The request failed")
        return {
            "type": f"{TYPE}{self.status}",
            "title": title,
            "status": self.status,
            "detail": self.detail,
        } | self.more


def not_there() -> ProblemError:
    """The answer to whatever does not exist or belongs to somebody else: the two cannot be told apart."""
    return ProblemError(404, "no such customer, model or user, or it is not this token's")
