"""The parts of which a form is made: rectangles, paths and knobs, in centimetres."""

from typing import NamedTuple

from catalog.drawing.svg import number

__all__ = ["Part", "box", "clamp", "count", "dot", "legs", "path", "spread"]


class Part(NamedTuple):
    """An element of a drawing. The role says how it is painted."""

    tag: str
    attributes: dict[str, float | str]
    role: str


def clamp(value: float, low: float, high: float) -> float:
    """Return the value, or the bound that it is beyond."""
    return min(max(value, low), high)


def box(x: float, y: float, width: float, height: float, rx: float = 0, role: str = "body") -> Part:
    """Return a rectangle, whose corners may be round."""
    size = {"width": max(width, 0.01), "height": max(height, 0.01)}
    return Part("rect", {"x": x, "y": y, **size, "rx": min(rx, width / 2, height / 2)}, role)


def path(*parts: float | str, role: str = "line") -> Part:
    """Return a path with these commands and numbers."""
    d = " ".join(part if isinstance(part, str) else number(part) for part in parts)
    return Part("path", {"d": d}, role)


def dot(cx: float, cy: float, r: float) -> Part:
    """Return a small round knob."""
    return Part("circle", {"cx": cx, "cy": cy, "r": r}, "dot")


def _leg(side: int, w: float, h: float, width: float, inset: float) -> Part:
    x = side * (w / 2 - inset)
    foot = x - side * width * 0.66
    return path("M", x, -h, "h", -side * width, "L", foot, 0, "H", x, "Z", role="body-v")


def legs(w: float, h: float, width: float, inset: float) -> list[Part]:
    """Return two legs, this far from the sides, which are narrower at the floor."""
    return [_leg(side, w, h, width, inset) for side in (-1, 1)]


def spread(count: int, start: float, end: float) -> list[float]:
    """Return the centres of this many equal parts."""
    return [start + (end - start) * (index + 0.5) / count for index in range(count)]


def count(value: float, least: int, most: int) -> int:
    """Return a number of equal parts, rounded as JavaScript does."""
    return int(clamp(int(value + 0.5), least, most))
