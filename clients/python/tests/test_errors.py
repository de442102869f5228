"""The error tree: codes, ``maybe_appended``, pickling."""

import copy
import inspect
import pickle
import re

import pytest

from furniture_events import errors
from furniture_events._answers import ERRORS_BY_CODE
from furniture_events._results import Detail
from furniture_events.errors import (
    AnswerTimeout,
    ConfigurationError,
    FurnitureEventsError,
    InvalidFurniture,
    LogUnavailable,
    NotAttempted,
    Refused,
    UnexpectedAnswer,
)

CODES = [
    "invalid_json",
    "invalid_message",
    "unknown_room",
    "invalid_offset",
    "unauthorized",
    "token_expired",
    "forbidden",
    "not_found",
    "method_not_allowed",
    "unsupported_media_type",
    "id_conflict",
    "too_large",
    "too_many_events",
    "unknown_type",
    "invalid_furniture",
    "rate_limited",
    "internal",
    "log_unavailable",
    "shutting_down",
    "too_many_connections",
]

EXAMPLES: list[FurnitureEventsError] = [
    ConfigurationError("url must …"),
    NotAttempted("not sent", reason=AnswerTimeout("late", maybe_appended=True)),
    InvalidFurniture(
        "altura: no", details=(Detail("furniture.altura", "no"),), status=422, retry_after=1.5
    ),
    Refused("?", code="new_code", status=418, maybe_appended=True),
    UnexpectedAnswer("?", status=502, content_type="text/html", excerpt="<p>", retry_after=2.0),
    *(cls("some text", maybe_appended=True) for cls in ERRORS_BY_CODE.values()),
]


def test_every_code_of_the_contract_has_its_class() -> None:
    """The twenty codes map to twenty classes, each with its code."""
    assert sorted(ERRORS_BY_CODE) == sorted(CODES)
    assert all(cls.code == code and cls("x").code == code for code, cls in ERRORS_BY_CODE.items())


def test_module_docstring_is_the_tree() -> None:
    """The docstring has every class below its parent, with its code and "temporary"."""
    lines = [line for line in (errors.__doc__ or "").splitlines() if line.startswith("    ")]
    parents: dict[int, str] = {}
    found = {}
    for line in lines:
        match = re.match(r"([ │├└─]*)(\w+)(.*)", line)
        assert match is not None
        depth = len(match[1]) // 4
        parents[depth] = match[2]
        found[match[2]] = (parents.get(depth - 1), match[3])
    classes = {
        name: value
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, FurnitureEventsError)
    }
    assert set(found) == set(classes)
    for name, cls in classes.items():
        parent, text = found[name]
        assert name == "FurnitureEventsError" or cls.__bases__[0].__name__ == parent
        assert ("temporary" in text) == cls("x").temporary
        if issubclass(cls, Refused) and cls is not Refused:
            assert cls.code in text.split()


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("clone", [copy.copy, lambda e: pickle.loads(pickle.dumps(e))])  # noqa: S301
def test_errors_survive_pickling_and_copying(error: FurnitureEventsError, clone: object) -> None:
    """A copy has the class, the text and every attribute of the original."""
    copied = clone(error)  # type: ignore[operator]
    assert type(copied) is type(error)
    assert str(copied) == str(error)
    attributes = dict(vars(copied))
    if isinstance(error, NotAttempted):
        assert type(attributes.pop("reason")) is type(error.reason)
        assert attributes == {name: vars(error)[name] for name in attributes}
    else:
        assert attributes == vars(error)


def test_text_has_the_code_and_maybe_appended() -> None:
    """A refusal's text begins with its code, and mentions ``maybe_appended`` if it is True."""
    assert str(LogUnavailable("no log")) == "log_unavailable: no log"
    assert str(AnswerTimeout("late", maybe_appended=True)) == (
        "late (it is unknown whether the event was appended)"
    )
    assert str(AnswerTimeout("late")) == "late"


def test_status_makes_an_unknown_refusal_temporary() -> None:
    """An error with an unknown code is temporary if its HTTP status is."""
    assert Refused("x", code="new", status=503).temporary
    assert not Refused("x", code="new", status=400).temporary
    assert UnexpectedAnswer("x", status=504).temporary
    assert not UnexpectedAnswer("x", status=200).temporary


def test_not_attempted_is_as_temporary_as_its_reason() -> None:
    """The error that stopped the batch decides whether a later call may succeed."""
    assert NotAttempted("x", reason=AnswerTimeout("late")).temporary
    assert not NotAttempted("x", reason=InvalidFurniture("no")).temporary


def test_configuration_error_is_a_value_error() -> None:
    """A caller that catches ``ValueError`` also catches a bad argument."""
    with pytest.raises(ValueError, match="url"):
        raise ConfigurationError("url")
