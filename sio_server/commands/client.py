"""A client of a running server, for the commands that talk to one. It uses only HTTP."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from ssl import SSLCertVerificationError
from typing import Any, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, quote, urlencode, urlsplit
from urllib.request import BaseHandler, HTTPRedirectHandler, ProxyHandler, Request, build_opener

import click

from sio_server import __version__, settings
from sio_server.contract.errors import StartError

ANSWER_SECONDS = 40
"""How long the client waits for bytes. A stream has a comment every 15 seconds."""

TEMPORARY = frozenset((408, 425, 429, 500, 502, 503, 504))
"""The statuses after which the same request may succeed later."""

Function = TypeVar("Function", bound=Callable[..., Any])


class ServerError(click.ClickException):
    """A request has failed.

    Attributes:
        is_temporary: whether the same request may succeed later.
        retry_seconds: when, if the server says so; otherwise 0.
    """

    def __init__(self, message: str, *, is_temporary: bool, retry_seconds: float = 0) -> None:
        super().__init__(message)
        self.is_temporary = is_temporary
        self.retry_seconds = retry_seconds


class Client:
    """A client of one server.

    Args:
        url: the server's URL, such as ``https://events.example.com/prefix``.
        credential: a producer key or a token; None: none.

    Raises:
        UsageError: the URL is not one of a server, or has a password in it.
        StartError: the credential can't be sent.
    """

    def __init__(self, url: str, credential: str | None = None) -> None:
        parts = urlsplit(url)
        if parts.username is not None:
            raise click.UsageError("the URL must not have a password; SIO_CREDENTIAL has it")
        if not _is_server(parts):
            raise click.UsageError(f"{url!r} is not the URL of a server, such as {EXAMPLE}")
        if credential and not (credential.isascii() and credential.isprintable()):
            raise StartError("the credential is not one line of ASCII characters")
        self.url = url.rstrip("/")
        self._headers = {"User-Agent": f"furniture-events-server/{__version__}"}
        if credential:
            self._headers["Authorization"] = f"Bearer {credential}"
        handlers: list[BaseHandler] = [_NoRedirects()]
        if is_loopback(str(parts.hostname)):
            handlers.append(ProxyHandler({}))  # a proxy's own machine is another one
        self._opener = build_opener(*handlers)

    def call(self, path: str, body: Any = None, **query: Any) -> Any:
        """Send a request, and return the decoded answer.

        Args:
            path: begins with a slash.
            body: sent as JSON; None: the request is a GET.
            query: values, and lists of values. Those that are None are left out.

        Raises:
            ServerError: the server cannot be reached, or refuses the request.
        """
        with self._open(path, body, query) as response:
            text = response.read()
        try:
            return json.loads(text)
        except ValueError:
            raise self._unknown(f"{path} does not answer with JSON", is_temporary=False) from None

    def stream(self, path: str, **query: Any) -> Iterator[tuple[str, str, str]]:
        """Read Server-Sent Events until the server ends the stream.

        Yields:
            The event's name, its id and its data. The server writes each of them in one line.

        Raises:
            ServerError: see ``call``. The connection may also break later.
        """
        with self._open(path, None, query) as response:
            if response.headers.get_content_type() != "text/event-stream":
                raise self._unknown(f"{path} is no stream of events", is_temporary=False)
            fields: dict[str, str] = {}
            for line in response:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name:
                    fields[name] = value
                elif "data" in fields:
                    yield fields.get("event", ""), fields.get("id", ""), fields["data"]
                    fields = {}

    @contextmanager
    def _open(self, path: str, body: Any, query: Mapping[str, Any]) -> Iterator[HTTPResponse]:
        named = {name: value for name, value in query.items() if value not in (None, ())}
        url = f"{self.url}{path}"
        if named:
            url += "?" + urlencode(named, doseq=True, quote_via=quote)
        headers, data = self._headers, None
        if body is not None:
            data = json.dumps(body).encode()
            headers = {**headers, "Content-Type": "application/json"}
        request = Request(url, data, headers)  # noqa: S310 - the scheme is checked
        try:
            with self._opener.open(request, timeout=ANSWER_SECONDS) as response:
                yield response
        except HTTPError as error:
            with error:
                raise self._refusal(error) from None
        except (OSError, HTTPException) as error:
            reason = error.reason if isinstance(error, URLError) else error
            text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
            is_temporary = not isinstance(reason, SSLCertVerificationError)
            what = f"can't be reached: {text}"
            raise self._unknown(what, is_temporary=is_temporary) from None

    def _refusal(self, error: HTTPError) -> ServerError:
        try:
            problem = json.loads(error.read())
            message = printable(f"{problem['code']}: {problem['message']}")
        except (ValueError, TypeError, KeyError, OSError, HTTPException):
            is_temporary = error.code in TEMPORARY
            return self._unknown(f"answers with status {error.code}", is_temporary=is_temporary)
        wait = error.headers.get("Retry-After", "")
        seconds = float(wait) if wait.isdigit() else 0
        return ServerError(message, is_temporary=error.code in TEMPORARY, retry_seconds=seconds)

    def _unknown(self, what: str, *, is_temporary: bool) -> ServerError:
        hint = "is it running?" if is_temporary else "is it a furniture events server?"
        return ServerError(f"the server at {self.url} {what}; {hint}", is_temporary=is_temporary)


class _NoRedirects(HTTPRedirectHandler):
    """Follows no redirect, because another server must not get the credential."""

    def redirect_request(self, *_: Any) -> None:
        """Refuse it: the redirect is the answer."""


EXAMPLE = "https://events.example.com"


def _is_server(url: SplitResult) -> bool:
    try:
        is_known = url.port is None or url.port > 0
    except ValueError:
        return False
    is_plain = not (url.query or url.fragment)
    return is_known and is_plain and url.scheme in ("http", "https") and bool(url.hostname)


def is_loopback(host: str) -> bool:
    """Tell whether a host, by its address or its name, is this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def server_options(function: Function) -> Function:
    """Give a command the options that name a server, for ``find_server``."""
    function = click.option(
        "--credential-file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="A file with a producer key or a token. Without it: SIO_CREDENTIAL, or the file that "
        "SIO_CREDENTIAL_FILE names. [SIO_CREDENTIAL_FILE]",
    )(function)
    return click.option(
        "--url",
        metavar="URL",
        help=f"The server, such as {EXAMPLE}. Without it: the server that the settings describe, "
        "on this machine, with its first producer key. [SIO_URL]",
    )(function)


def find_server(
    given: Mapping[str, Any] | None, url: str | None, credential_file: Path | None
) -> Client:
    """Return a client of the server that the options, the variables or the settings name.

    The producer key of the settings goes to no other server than theirs.

    Args:
        given: the settings of the command line.
        url: the value of ``--url``.
        credential_file: the value of ``--credential-file``.

    Raises:
        StartError: a setting is bad, or the file cannot be read.
        UsageError: the URL is bad.
    """
    variables = settings.client_variables()
    credential = variables.get("SIO_CREDENTIAL", "").strip() or None
    path = credential_file or variables.get("SIO_CREDENTIAL_FILE")
    if path:
        credential = _read(Path(path))
    url = url or variables.get("SIO_URL")
    if url:
        return Client(url, credential)
    loaded = settings.load(given)
    if credential is None and loaded.producer_keys:
        entry = loaded.producer_keys[0].get_secret_value()
        credential = entry.partition(":")[2] or entry
    return Client(loaded.own_url(loaded.port), credential)


def printable(text: str) -> str:
    """Escape the characters that would control the terminal. The result of JSON is JSON again."""
    if text.isprintable():
        return text
    return "".join(it if it.isprintable() else json.dumps(it)[1:-1] for it in text)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise StartError(f"can't read {path}: {reason}") from None
