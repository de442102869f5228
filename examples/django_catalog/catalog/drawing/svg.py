"""Makes SVG as text. Every value that enters is escaped or is a number."""

from collections.abc import Iterable
from html import escape
from math import floor

__all__ = ["element", "number", "tidy"]


def tidy(value: float) -> float:
    """Return the value with at most two decimals, as JavaScript's ``Math.round`` rounds."""
    return floor(value * 100 + 0.5) / 100


def number(value: float) -> str:
    """Return a number as SVG writes it: at most two decimals, no ``.0``."""
    return f"{tidy(value) + 0:g}" if abs(value) < 1e5 else str(round(value))


def element(tag: str, children: Iterable[str] = (), /, **attributes: object) -> str:
    """Return an element.

    Args:
        tag: its name.
        children: elements, or text that is escaped already.
        attributes: ``_`` in a name becomes ``-``; one at its end is dropped. None: no attribute.
    """
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{_text(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    inner = "".join(children)
    return f"<{tag}{written}>{inner}</{tag}>" if inner else f"<{tag}{written}/>"


def _text(value: object) -> str:
    return number(value) if isinstance(value, int | float) else escape(str(value))
