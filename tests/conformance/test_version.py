"""Engine.IO: the version is a mandatory parameter of every request, not of the first one alone."""

from __future__ import annotations

import pytest

from tests.conformance.clients import Gone, polling, second_socket


@pytest.mark.parametrize("version", [None, "", "3", "abc"])
async def test_every_request_says_its_version(eio_url: str, version: str | None) -> None:
    """Answer 400 to a poll or a post of a session without ``EIO=4``; the session goes on."""
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
async def test_an_upgrade_says_its_version(eio_url: str, version: str) -> None:
    """Close a WebSocket that would take over without ``EIO=4``."""
    async with polling(eio_url) as client:
        with pytest.raises(Gone):
            async with second_socket(client, EIO=version) as socket:
                await socket.send("2probe")
                await socket.receive()
