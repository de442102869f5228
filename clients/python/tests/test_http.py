"""Every exception of the HTTP library becomes an error value of this package."""

import ssl
import time
from collections.abc import Callable, Iterator

import httpx2
import pytest

from furniture_events import AnswerTimeout, ConfigurationError, ConnectionLost, Unreachable
from furniture_events._http import AsyncPool, Pool
from furniture_events._settings import Settings
from furniture_events._wire import Answer, Request, Send
from test_retry import DEFAULTS

POST = Send(Request("POST", "/api/events", {"Authorization": "Bearer sesame"}, b"{}"), 9.0)
GET = Send(Request("GET", "/healthz", {}), 9.0)


def pool(
    reply: Callable[[httpx2.Request], httpx2.Response],
    clock: Callable[[], float] = time.monotonic,
) -> Pool:
    """Make a pool whose network is a function."""
    made = Pool(Settings(**DEFAULTS), clock=clock)
    made._new_client = lambda: httpx2.Client(  # type: ignore[method-assign]
        transport=httpx2.MockTransport(reply), trust_env=False
    )
    return made


@pytest.mark.parametrize(
    ("theirs", "ours", "sent"),
    [
        (httpx2.ConnectError, Unreachable, False),
        (httpx2.ConnectTimeout, Unreachable, False),
        (httpx2.PoolTimeout, Unreachable, False),
        (httpx2.UnsupportedProtocol, Unreachable, False),
        (httpx2.LocalProtocolError, Unreachable, False),
        (httpx2.WriteTimeout, AnswerTimeout, True),
        (httpx2.ReadTimeout, AnswerTimeout, True),
        (httpx2.ReadError, ConnectionLost, True),
        (httpx2.WriteError, ConnectionLost, True),
        (httpx2.CloseError, ConnectionLost, True),
        (httpx2.RemoteProtocolError, ConnectionLost, True),
        (httpx2.ProxyError, ConnectionLost, True),
        (httpx2.DecodingError, ConnectionLost, True),
    ],
)
def test_each_exception_is_mapped_with_maybe_appended(
    theirs: type[httpx2.RequestError], ours: type[Exception], *, sent: bool
) -> None:
    """A request that began may have appended its events. A GET never appends."""

    def fail(request: httpx2.Request) -> httpx2.Response:
        raise theirs("why", request=request)

    for send, maybe_appended in ((POST, sent), (GET, False)):
        error = pool(fail).exchange(send)
        assert type(error) is ours
        assert error.maybe_appended is maybe_appended
        assert (error.__cause__, error.__context__, error.__traceback__) == (None, None, None)


def test_request_goes_out_as_the_core_built_it() -> None:
    """URL, method, headers and body are the core's. The timeouts are within the budget."""
    seen: list[httpx2.Request] = []

    def reply(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(201, headers={"X-One": "1"}, content=b"body")

    answer = pool(reply).exchange(Send(POST.request, 0.25))
    assert isinstance(answer, Answer)
    assert (answer.status, answer.headers["x-one"], answer.body) == (201, "1", b"body")
    (request,) = seen
    assert (request.method, str(request.url)) == ("POST", "http://h/api/events")
    assert request.headers["authorization"] == "Bearer sesame"
    assert request.content == b"{}"
    assert request.extensions["timeout"] == dict.fromkeys(
        ("connect", "read", "write", "pool"), 0.25
    )


def test_connect_and_read_have_their_own_timeouts() -> None:
    """Within the budget, connecting and reading are bounded separately."""
    made = Pool(Settings(**DEFAULTS | {"timeout": 7.0, "connect_timeout": 2.0}))
    assert made._timeout(100.0) == httpx2.Timeout(7.0, connect=2.0)
    assert made._timeout(1.0) == httpx2.Timeout(1.0)
    assert made._timeout(-1.0) == httpx2.Timeout(0.001)


@pytest.mark.parametrize("kind", [Pool, AsyncPool])
def test_https_verifies_with_the_context_given(kind: type[Pool]) -> None:
    """Certificates are verified by the system's list, or by the caller's context."""
    own = ssl.create_default_context()
    secure = Settings(**DEFAULTS | {"url": "https://h"})
    assert kind(secure)._verify is True
    assert kind(secure, own)._verify is own
    plain = kind(Settings(**DEFAULTS))._verify
    assert isinstance(plain, ssl.SSLContext)
    assert plain.verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize("host", ["☃.net", "a..b", ".", "x" * 64, "é" * 80])
def test_host_that_cannot_be_looked_up_is_refused_early(host: str) -> None:
    """A host that cannot be resolved is a configuration error."""
    with pytest.raises(ConfigurationError, match="its host cannot be read"):
        Pool(Settings(**DEFAULTS | {"url": f"http://{host}"}))


def test_a_slow_answer_ends_at_the_deadline() -> None:
    """The call ends at the deadline, even if bytes still arrive."""
    now = 0.0

    def dribble() -> Iterator[bytes]:
        nonlocal now
        for _ in range(100):
            now += 1.0
            yield b"x"

    made = pool(lambda _: httpx2.Response(200, content=dribble()), clock=lambda: now)
    error = made.exchange(POST)
    assert isinstance(error, AnswerTimeout)
    assert error.maybe_appended
    assert now == 10.0


def test_unforeseen_runtime_error_is_not_hidden() -> None:
    """A bug is not reported as a closed producer."""

    def fail(_: httpx2.Request) -> httpx2.Response:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        pool(fail).exchange(POST)
