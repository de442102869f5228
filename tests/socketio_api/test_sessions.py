"""The server's data of a client: its session, environment and transport."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import aiohttp
import pytest
import socketio
import yarl

from sio_server.engine import Server
from tests.socketio_api.api import TIMEOUT, Client, clients_of, until


async def test_a_session_is_stored_from_the_connect_handler_on(transport: str) -> None:
    """It is the documentation's example: a user name is saved on connect and read in an event."""
    server = Server()

    @server.event
    async def connect(sid: str, environ: dict[str, Any], auth: Any) -> None:
        await server.save_session(sid, {"name": auth["name"]})

    @server.event
    async def rename(sid: str, name: str) -> None:
        async with server.session(sid) as session:
            session["name"] = name

    @server.event
    async def who(sid: str) -> str:
        name: str = (await server.get_session(sid))["name"]
        return name

    async with clients_of(server, transport) as open_client:
        ann, bob = await open_client(auth={"name": "ann"}), await open_client(auth={"name": "bob"})
        assert await ann.call("who", timeout=TIMEOUT) == "ann"
        await ann.call("rename", "anna", timeout=TIMEOUT)
        assert await ann.call("who", timeout=TIMEOUT) == "anna"
        assert await bob.call("who", timeout=TIMEOUT) == "bob"


async def test_each_namespace_has_its_own_session(transport: str) -> None:
    """It is empty at first, and one client has a different session in each namespace."""
    server = Server(namespaces="*")
    async with clients_of(server, transport) as connect:
        client = await connect("/", "/a")
        main, other = client.get_sid(), client.get_sid("/a")
        assert await server.get_session(main) == {}
        await server.save_session(main, {"a": 1})
        async with server.session(other, namespace="/a") as session:
            session["b"] = 2
        assert await server.get_session(main) == {"a": 1}
        assert await server.get_session(other, namespace="/a") == {"b": 2}


async def test_a_session_outlives_a_namespace_but_not_its_connection() -> None:
    """As in stock, the session belongs to the connection; an unknown client has none."""
    server = Server(namespaces="*")
    async with clients_of(server) as connect:
        client = await connect("/", "/a")
        await server.save_session(client.get_sid(), {"a": 1})
        await server.disconnect(client.get_sid("/a"), namespace="/a")
        assert await server.get_session(client.get_sid()) == {"a": 1}
        sid = client.get_sid()
        await client.disconnect()
        await until(lambda: not server.eio.sockets, "the end of the session")
        with pytest.raises(KeyError):
            await server.get_session(sid)
        with pytest.raises(KeyError):
            await server.save_session("nobody", {})


async def test_the_session_context_saves_changes_before_an_exception(transport: str) -> None:
    """The exception reaches the caller."""
    server = Server()
    async with clients_of(server, transport) as connect:
        sid = (await connect()).get_sid()
        with pytest.raises(LookupError):
            async with server.session(sid) as session:
                session["a"] = 1
                raise LookupError
        assert await server.get_session(sid) == {"a": 1}


async def test_the_environment_describes_the_handshake(transport: str) -> None:
    """It has WSGI's names, is the same in each namespace, and is None for an unknown client."""
    server = Server(namespaces="*")
    async with clients_of(server, transport) as connect:
        connect.url += "?token=t&x=1"
        client = await connect("/", "/a", headers={"X-Name": "n", "Cookie": "a=b"})
        environ = server.get_environ(client.get_sid())
        assert server.get_environ(client.get_sid("/a"), namespace="/a") is environ
        assert server.get_environ("nobody") is None
        assert server.get_environ(client.get_sid(), namespace="/a") is None
        host = connect.url.removeprefix("http://").partition("?")[0]
        expected = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": "/socket.io/",
            "REMOTE_ADDR": "127.0.0.1",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": host,
            "HTTP_X_NAME": "n",
            "HTTP_COOKIE": "a=b",
            "wsgi.url_scheme": "http",
        }
        assert {name: environ[name] for name in expected} == expected
        assert environ["QUERY_STRING"].startswith("token=t&x=1&transport=")
        assert int(environ["REMOTE_PORT"]) > 0


async def test_transport_returns_the_clients_transport(transport: str) -> None:
    """It works in the connect handler, too."""
    server, seen = Server(namespaces="*"), []
    server.on("connect", lambda sid, environ: seen.append(server.transport(sid)))
    async with clients_of(server, transport) as connect:
        client = await connect("/", "/a")
        assert server.transport(client.get_sid("/a"), namespace="/a") == transport
        with pytest.raises(KeyError):
            server.transport("nobody")
    assert seen == [transport]


async def test_an_upgrade_changes_the_transport_but_not_the_session() -> None:
    """The sid does not change either."""
    server = Server()
    server.on("transport", server.transport)
    async with clients_of(server) as connect:
        client = Client()
        await client.connect(connect.url)
        try:
            sid = client.get_sid()
            await server.save_session(sid, {"a": 1})
            await until(lambda: server.transport(sid) == "websocket", "the upgrade")
            assert await client.call("transport", timeout=TIMEOUT) == "websocket"
            assert await server.get_session(sid) == {"a": 1}
            assert client.get_sid() == sid
        finally:
            await client.disconnect()


async def test_a_server_describes_itself_as_python_socketio_does() -> None:
    """Applications of python-socketio read these attributes."""
    server = Server()
    assert isinstance(server, socketio.AsyncServer)
    assert server.is_asyncio_based()
    assert server.async_mode == "aiohttp"
    assert server.reason.CLIENT_DISCONNECT == "client disconnect"


@pytest.mark.parametrize(("sent", "read"), [("a%2520b", "a%20b"), ("a%252Bb", "a%2Bb")])
async def test_the_query_is_not_decoded_twice(sent: str, read: str) -> None:
    """``QUERY_STRING`` is the query as the client sent it, and its reader decodes it."""
    server = Server()
    async with clients_of(server) as connect, aiohttp.ClientSession() as http:
        query = f"EIO=4&transport=websocket&token={sent}"
        url = yarl.URL(f"{connect.url}/socket.io/?{query}", encoded=True)
        async with http.ws_connect(url) as socket:
            await socket.receive(TIMEOUT)
            (environ,) = server.environ.values()
            assert parse_qs(environ["QUERY_STRING"])["token"] == [read]
