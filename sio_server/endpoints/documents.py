"""The contract for programs, as OpenAPI and AsyncAPI, and for people, as a page that shows both."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator
from html import escape
from typing import Any

from aiohttp import web

from sio_server import __version__
from sio_server.contract.asyncapi import asyncapi
from sio_server.contract.openapi import openapi
from sio_server.endpoints.gate import check_query
from sio_server.endpoints.responses import PAGE_HEADERS, json_response

Handler = Callable[[web.Request], Awaitable[web.Response]]
Document = dict[str, Any]


class Documents:
    """The endpoints below ``/api`` that describe the others."""

    def add_routes(self, app: web.Application) -> None:
        """Serve the documents, and the page."""
        app.router.add_get("/api/openapi.json", _answer(openapi(__version__)))
        app.router.add_get("/api/asyncapi.json", _answer(asyncapi(__version__)))
        app.router.add_get("/api/docs", self.page)

    async def page(self, request: web.Request) -> web.Response:
        """Answer with the page for people."""
        check_query(request.query)
        text = page(openapi(__version__), asyncapi(__version__))
        return web.Response(text=text, content_type="text/html", headers=PAGE_HEADERS)


def _answer(document: Document) -> Handler:
    async def answer(request: web.Request) -> web.Response:
        check_query(request.query)
        return json_response(document)

    return answer


def page(http: Document, connections: Document) -> str:
    """Return the page in HTML.

    Args:
        http: the document of OpenAPI.
        connections: the document of AsyncAPI.
    """
    info = http["info"]
    links = '<a href="openapi.json">openapi.json</a>, <a href="asyncapi.json">asyncapi.json</a>'
    sections = [*_operations(http), *_channels(connections), *_failures(http)]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(info['title'])}: the contract</title>"
        '<link rel="icon" href="data:,"><link rel="stylesheet" href="../docs.css">'
        "</head><body><main>"
        f"<h1>{escape(info['title'])} <small>{escape(info['version'])}</small></h1>"
        f"<p>What the server and its clients say. For programs: {links}.</p>"
        f"{''.join(sections)}</main></body></html>"
    )


def _operations(http: Document) -> Iterator[str]:
    yield "<h2>HTTP</h2>"
    for path, methods in http["paths"].items():
        for method, operation in methods.items():
            yield _section(
                f"{method.upper()} {path}",
                operation["summary"],
                _table(
                    ("Parameter", "In", ""),
                    (
                        (it["name"], it["in"], it["description"])
                        for it in operation.get("parameters", ())
                    ),
                ),
                _example("The body", operation.get("requestBody")),
                _table(
                    ("Status", ""),
                    ((it, its["description"]) for it, its in operation["responses"].items()),
                ),
                *(
                    _example(f"{status}", response)
                    for status, response in operation["responses"].items()
                ),
            )


def _channels(connections: Document) -> Iterator[str]:
    messages = connections["components"]["messages"]
    for name, server in connections["servers"].items():  # each has the channel of its name
        yield f"<h2>{escape(server['description'])}</h2>"
        for operation in connections["operations"].values():
            if operation["channel"]["$ref"] != f"#/channels/{name}":
                continue
            who = "The server" if operation["action"] == "send" else "A client"
            yield f"<h3>{who} sends to {escape(server['pathname'])}</h3>"
            for reference in operation["messages"]:
                message = messages[reference["$ref"].rpartition("/")[2]]
                (example,) = message["examples"]
                yield _section(message["name"], message["summary"], _code(example["payload"]))


def _failures(http: Document) -> Iterator[str]:
    error = http["components"]["schemas"]["Error"]
    yield "<h2>Failures</h2><p>The same on every transport.</p>"
    yield _code(error["examples"][0])
    codes = ", ".join(f"<code>{it}</code>" for it in error["properties"]["code"]["enum"])
    yield f"<p>{codes}</p>"


def _section(title: str, summary: str, *parts: str) -> str:
    return (
        f"<details><summary><code>{escape(title)}</code> {_marked(summary)}</summary>"
        f"{''.join(parts)}</details>"
    )


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    body = "".join(f"<tr>{''.join(f'<td>{_marked(it)}</td>' for it in row)}</tr>" for row in rows)
    titles = "".join(f"<th>{it}</th>" for it in head)
    return f"<table><tr>{titles}</tr>{body}</table>" if body else ""


def _marked(text: str) -> str:
    """Return HTML in which words in backticks are code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


def _example(title: str, described: Document | None) -> str:
    for content in (described or {}).get("content", {}).values():
        if "example" in content:
            return f"<p>{escape(title)}</p>{_code(content['example'])}"
    return ""


def _code(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    return f"<pre>{escape(text)}</pre>"
