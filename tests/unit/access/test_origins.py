"""The origins that may connect, and the log lines about the others."""

from __future__ import annotations

import pytest
import structlog

from sio_server.access.origins import Origins
from sio_server.contract.origins import is_origin, normalise

BASE = "https://shop.example"
ALLOWED = (
    "https://example.com",
    "https://example.com:8443",
    "http://localhost:*",
    "http://[::1]:*",
)


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "https://shop.example",
        "https://example.com",
        "https://example.com:8443",
        "http://localhost",
        "http://localhost:1",
        "http://localhost:65535",
        "http://[::1]",
        "http://[::1]:5173",
    ],
)
def test_the_same_or_an_allowed_origin_passes(origin: str | None) -> None:
    """A request without an origin is not a browser's, and passes too."""
    assert Origins(ALLOWED).allow(origin, BASE)


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "null",
        "http://shop.example",
        "https://shop.example:8443",
        "https://shop.example.evil.test",
        "https://evil.shop.example",
        "http://example.com",
        "https://example.com:8444",
        "https://example.com.evil.test",
        "https://evil-example.com",
        "https://evil.test/https://example.com",
        "https://example.com@evil.test",
        "https://example.com:8443.evil.test",
        "https://localhost:8000",
        "http://localhost.evil.test",
        "http://localhost:8000.evil.test",
        "http://localhost:evil.test",
        "http://localhost:",
        "http://localhost:٨٠",
        "http://localhost:80:80",
        "http://localhost:80@evil.test:80",
        "http://127.0.0.1:3000",
        "http://[::2]:5173",
    ],
)
def test_any_other_origin_is_refused(origin: str) -> None:
    """Origins are compared whole, with scheme and port."""
    assert not Origins(ALLOWED).allow(origin, BASE)
    assert not Origins(()).allow(origin, BASE)


@pytest.mark.parametrize("origin", ["null", "https://anything.test", "http://localhost:1"])
def test_an_asterisk_allows_every_origin(origin: str) -> None:
    """This includes ``null``, the origin of a page without a site."""
    assert Origins(("*",)).allow(origin, BASE)


@pytest.mark.parametrize(
    ("origin", "base"),
    [
        ("http://example.com:8765", "http://example.com:8765"),
        ("ws://example.com:8765", "http://example.com:8765"),
        ("wss://example.com", "https://example.com"),
        ("HTTP://Example.COM", "http://example.com"),
        ("http://example.com:80", "http://example.com"),
        ("https://example.com:443", "https://EXAMPLE.com:443"),
        ("http://[::1]:8765", "http://[::1]:8765"),
        ("https://example.com", "https://example.com:443"),
        ("http://example.com", "http://example.com:80"),
    ],
)
def test_the_same_origin_always_passes(origin: str, base: str) -> None:
    """A proxy may write the default port into ``Host``. A browser leaves it out of the origin."""
    assert Origins(()).allow(origin, base)


@pytest.mark.parametrize(
    ("origin", "base"),
    [
        ("https://example.com", "https://example.com:80"),
        ("http://example.com", "http://example.com:443"),
        ("http://example.com", "https://example.com"),
        ("http://example.com", "http://example.com:8765"),
    ],
)
def test_another_port_or_scheme_is_another_origin(origin: str, base: str) -> None:
    """Only the scheme's own default port may be left out."""
    assert not Origins(()).allow(origin, base)


@pytest.mark.parametrize("word", ["null", "file://", "capacitor://localhost", "app://-"])
def test_origins_without_a_site_can_be_named(word: str) -> None:
    """Native shells send them."""
    assert is_origin(word)
    assert Origins([word]).allow(word, BASE)
    assert not Origins([]).allow(word, BASE)


@pytest.mark.parametrize(
    "word", ["https://Example.com", "HTTPS://example.com:443", "wss://example.com", "https://a:*"]
)
def test_a_setting_may_have_any_spelling(word: str) -> None:
    """It is compared as an origin, too."""
    assert is_origin(word)
    origin = "https://a:7" if word.endswith("*") else "https://example.com"
    assert Origins([word]).allow(origin, BASE)


@pytest.mark.parametrize(
    "word",
    ["", "example.com", "https://", "https://example.com/", "https://a b", "https://*.a", "//a"],
)
def test_another_word_is_no_origin(word: str) -> None:
    """Such a setting stops the start."""
    assert not is_origin(word)


def test_text_that_is_no_origin_is_compared_whole() -> None:
    """Without regard to case."""
    assert normalise("Nonsense/") == "nonsense/"


def test_an_asterisk_trusts_no_origin() -> None:
    """A page of any site must not send its user's credentials."""
    origins = Origins(["*", "https://example.com"])
    assert origins.allow("https://evil.test", BASE)
    assert not origins.trust("https://evil.test", BASE)
    assert origins.trust("https://example.com", BASE)
    assert origins.trust(BASE, BASE)


def test_refusals_are_a_bounded_number_of_log_lines() -> None:
    """One a minute for each origin, ten in all, and then their number."""
    now = 1000.0
    origins = Origins([], lambda: now)
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            for number in range(15):
                origins.note_refusal(f"https://{number}.test" + "x" * 200)
        assert [line["origin"][:9] for line in lines] == [f"https://{n}" for n in range(10)]
        assert all(len(line["origin"]) == 100 for line in lines)
        assert {line["setting"] for line in lines} == {"SIO_CORS_ORIGINS"}
        lines.clear()
        now += 60
        origins.note_refusal("null")
    assert lines == [
        {
            "event": "origin_refused",
            "origin": "null",
            "setting": "SIO_CORS_ORIGINS",
            "omitted": 35,
            "log_level": "warning",
        }
    ]
