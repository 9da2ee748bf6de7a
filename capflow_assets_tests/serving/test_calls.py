"""What need not be waited for is there at once; what must be goes on from where it stands, however the wait ends."""

from __future__ import annotations

import asyncio

import pytest

from capflow_assets.serving.calls import at_once


async def _after(gate: asyncio.Future[str], ends: list[str]) -> str:
    try:
        return await gate
    finally:
        ends.append("ended")


def test_what_waits_for_nothing_is_there_and_has_nothing_to_await() -> None:
    async def ready() -> str:
        return "body"

    async def main() -> None:
        assert at_once(ready()) == ("body", None)

    asyncio.run(main())


def test_what_is_no_coroutine_is_awaited_as_it_is() -> None:
    async def main() -> None:
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        result, waiting = at_once(future)
        assert (result, waiting) == (None, future)

    asyncio.run(main())


@pytest.mark.parametrize("end", ["result", "error", "cancelled", "out of time"])
def test_a_wait_that_was_begun_ends_as_it_would_have(end: str) -> None:
    ends: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        gate: asyncio.Future[str] = loop.create_future()
        result, waiting = at_once(_after(gate, ends))
        assert result is None
        assert waiting is not None
        assert not ends
        if end == "result":
            loop.call_soon(gate.set_result, "body")
            assert await waiting == "body"
        elif end == "error":
            loop.call_soon(gate.set_exception, ConnectionError("gone"))
            with pytest.raises(ConnectionError, match="gone"):
                await waiting
        elif end == "cancelled":
            loop.call_soon(gate.cancel)
            with pytest.raises(asyncio.CancelledError):
                await waiting
        else:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await waiting

    asyncio.run(main())
    assert ends == ["ended"]
