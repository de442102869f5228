"""The constructor checks its arguments."""

from typing import Any

import pytest

from furniture_events import AsyncProducer, ConfigurationError, Producer

URL = "http://127.0.0.1:8765"


@pytest.mark.parametrize("producer", [Producer, AsyncProducer])
@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("", "http://"),
        ("127.0.0.1:8765", "http://"),
        ("localhost:8765", "http://"),
        ("ftp://h", "http://"),
        ("http://", "no host"),
        ("http://:80", "no host"),
        ("http://h:port", "host or port"),
        ("http://h:99999", "host or port"),
        ("http://h:0", "port 0"),
        ("http://[::1", "host or port"),
        ("http://h?x=1", "no query"),
        ("http://h/#x", "no query"),
        ("http://h /", "white space"),
        ("http://h\n", "white space"),
        ("http://h\0", "white space"),
        ("http://user:sesame@h", "as key="),
        (None, "not a NoneType"),
        (b"http://h", "not a bytes"),
    ],
)
def test_bad_url_is_refused_at_once(producer: type[Producer], url: Any, text: str) -> None:
    """The constructor refuses an invalid URL with a reason, and does not repeat the URL."""
    with pytest.raises(ConfigurationError, match=text) as caught:
        producer(url)
    assert "sesame" not in str(caught.value)
    assert "8765" in str(caught.value)


@pytest.mark.parametrize("url", [URL, f"{URL}/", f"{URL}/a/b//", "https://h", "http://[::1]:80/p"])
def test_good_urls_lose_only_their_last_slashes(url: str) -> None:
    """A prefix is kept. Slashes at the end have no meaning."""
    assert repr(Producer(url)) == f"Producer({url.rstrip('/')!r})"


@pytest.mark.parametrize("key", ["", "with space", "line\nbreak", "ñandú", "\x7f", b"bytes", 7])
def test_bad_key_is_refused_and_not_repeated(key: Any) -> None:
    """An invalid key is refused, and the message does not hold it."""
    with pytest.raises(ConfigurationError, match=r"^key must") as caught:
        Producer(URL, key=key)
    assert not isinstance(key, str) or not key or key not in str(caught.value)


@pytest.mark.parametrize("name", ["timeout", "connect_timeout", "deadline"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "3", None, True])
def test_bad_timeout_is_refused(name: str, value: Any) -> None:
    """A time limit is a finite number above 0."""
    with pytest.raises(ConfigurationError, match=f"^{name} must be a number of seconds above 0"):
        Producer(URL, **{name: value})


@pytest.mark.parametrize("name", ["backoff", "backoff_max"])
def test_backoff_may_be_zero_but_not_less(name: str) -> None:
    """Zero means no wait, and a negative number is refused."""
    Producer(URL, **{name: 0})  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=f"^{name} must be"):
        Producer(URL, **{name: -0.1})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["attempts", "batch_events", "batch_bytes", "max_connections"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "1", True])
def test_bad_count_is_refused(name: str, value: Any) -> None:
    """A count is an integer of at least 1."""
    with pytest.raises(ConfigurationError, match=f"^{name} must be an integer, 1 or more"):
        Producer(URL, **{name: value})


def test_unknown_option_is_refused() -> None:
    """A misspelt option raises an error."""
    with pytest.raises(TypeError, match="timeuot"):
        Producer(URL, timeuot=3)  # type: ignore[call-arg]


def test_repr_holds_no_key() -> None:
    """Neither the producer nor its settings show the key."""
    producer = Producer(URL, key="sesame")
    assert "sesame" not in repr(producer) + repr(producer._settings)
