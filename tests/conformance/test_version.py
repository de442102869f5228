"""Engine.IO: the version is a mandatory parameter of every request, not only of the first."""

from __future__ import annotations

import pytest

from tests.conformance.clients import SessionEnded, polling, second_socket


@pytest.mark.parametrize("version", [None, "", "3", "abc"])
async def test_a_request_without_the_version_gets_400(eio_url: str, version: str | None) -> None:
    """The session stays open."""
    async with polling(eio_url) as client:
        good = client.query
        bad = {name: value for name, value in good.items() if name != "EIO"}
        if version is not None:
            bad["EIO"] = version
        await client.send("4there is something to poll")
        client.query = bad
        polled, _ = await client.get()
        posted, _ = await client.post("4hello")
        client.query = good
        assert (polled, posted) == (400, 400)
        assert await client.receive() == "4there is something to poll"


@pytest.mark.parametrize("version", ["", "3", "abc"])
async def test_an_upgrade_without_the_version_is_closed(eio_url: str, version: str) -> None:
    """The WebSocket is closed without an answer to the probe."""
    async with polling(eio_url) as client:
        with pytest.raises(SessionEnded):
            async with second_socket(client, EIO=version) as socket:
                await socket.send("2probe")
                await socket.receive()
