"""Draws a piece at a wall, to scale, as SVG whose unit is the centimetre.

All drawings of a list have the same wall, so that a reader sees sizes without reading numbers.
The scale does not depend on the other pieces: then a new piece changes no other row. In a list, the
wall behind a low piece ends above it, so that no piece stands in much air.
"""

from collections.abc import Iterator
from html import escape
from typing import NamedTuple, Protocol

from catalog.drawing.grain import paint_of
from catalog.drawing.kinds import form_of, material_of
from catalog.drawing.parts import box, clamp
from catalog.drawing.shapes import FORMS
from catalog.drawing.svg import element, number

__all__ = ["LIST_WALL_CM", "Piece", "Size", "figure", "measure", "swatch", "wall_for"]

LIST_WALL_CM = 220
"""The height of the wall in a list. Nearly all furniture is lower."""

WALLS_CM = (120, 160, 220, 260, 320, 420)
"""The heights of walls for one piece."""

PROPORTION = 0.8
"""The height of a wall, as a share of its width."""

AIR_CM = 10
"""The least air beside and above a piece."""

LEAST_CM = 1.5
"""A piece is drawn at least this wide and high."""


class Piece(Protocol):
    """The data of a drawing."""

    nombre: str
    material: str
    altura: float | None
    ancho: float | None


class Size(NamedTuple):
    """A drawn size in centimetres, and whether it is the true one."""

    w: float
    h: float
    is_to_scale: bool


def measure(piece: Piece, wall: float) -> Size:
    """Return the size of a piece at a wall of this height, in centimetres."""
    ancho, altura = float(piece.ancho or 0), float(piece.altura or 0)
    width, height = wall / PROPORTION - 2 * AIR_CM, wall - AIR_CM
    factor = min(1, width / max(ancho, LEAST_CM), height / max(altura, LEAST_CM))
    return Size(
        clamp(ancho * factor, LEAST_CM, width),
        clamp(altura * factor, LEAST_CM, height),
        factor == 1 and min(ancho, altura) >= LEAST_CM,
    )


def wall_for(piece: Piece) -> float:
    """Return the height of the lowest wall at which the piece stands, in centimetres."""
    ancho, altura = float(piece.ancho or 0), float(piece.altura or 0)
    need = max(altura + AIR_CM, (ancho + 4 * AIR_CM) * PROPORTION)
    return next((wall for wall in WALLS_CM if wall >= need), WALLS_CM[-1])


def figure(
    piece: Piece,
    wall: float = LIST_WALL_CM,
    *,
    was: Size | None = None,
    numbers: tuple[str, str] | None = None,
) -> str:
    """Return the drawing of a piece. All drawings of a wall are equally many centimetres wide.

    Args:
        piece: its name says the form. If both sizes are missing, it is a dashed box.
        wall: the height of the wall, in centimetres.
        was: the size before a change, as a dashed outline.
        numbers: the width and the height as texts, which are written beside the piece. Without
            them, the drawing is only as high as the piece needs.
    """
    size = measure(piece, wall)
    below = wall * (0.2 if numbers else 0.07)
    width = wall / PROPORTION
    highest = max(size.h, 0 if was is None else was.h, _band(wall))
    top = wall if numbers else min(wall, highest + AIR_CM)
    shade_y, shade_r = wall * 0.014, min(wall * 0.018, size.w * 0.2)
    parts = [
        element("rect", class_="ground", x=-4000, y=0, width=8000, height=400),
        element("rect", class_="band", x=-4000, y=-_band(wall), width=8000, height=_band(wall)),
        element("ellipse", class_="shade", cx=0, cy=shade_y, rx=size.w * 0.52, ry=shade_r),
        element("path", class_="floor", d="M-4000 0H4000"),
        element("g", _parts(piece, size), class_="piece"),
    ]
    if not size.is_to_scale and max(size.w, size.h) > 8:
        parts.append(_break(size))
    if was is not None:
        outline = {"x": -was.w / 2, "y": -was.h, "width": was.w, "height": was.h}
        parts.append(element("rect", class_="was-outline", **outline))
    if numbers is not None:
        parts.append(_dimensions(size, wall, *map(escape, numbers)))
    return element(
        "svg",
        parts,
        class_="figure",
        viewBox=f"{number(-width / 2)} {number(-top)} {number(width)} {number(top + below)}",
        preserveAspectRatio="xMidYMax meet",
        aria_hidden="true",
        focusable="false",
    )


def swatch(material: str) -> str:
    """Return a square of the material, for beside its name."""
    square = element("rect", width=24, height=24, fill=paint_of(material))
    return element(
        "svg", [square], class_="swatch", viewBox="0 0 24 24", aria_hidden="true", focusable="false"
    )


def _band(wall: float) -> int:
    """Return the height of the painted band: 1 m, or half a metre at a low wall."""
    return 50 if wall < 160 else 100


def _parts(piece: Piece, size: Size) -> Iterator[str]:
    if not piece.ancho and not piece.altura:
        yield element("path", class_="part unsized", d="M-16 0V-32H16V0Z")
        return
    w, h, _ = size
    drawn = [box(-w / 2, -h, w, h)] if min(w, h) < 8 else FORMS[form_of(piece.nombre)](w, h)
    key = material_of(piece.material) if piece.material else None
    for tag, attributes, role in drawn:
        is_filled = role.startswith("body")
        if key is None:
            yield element(tag, class_=f"part {'linen' if is_filled else role}", **attributes)
            continue
        is_upright = role == "body-v" or (
            tag == "rect" and float(attributes["height"]) > float(attributes["width"])
        )
        painted = f" recess-{key[:1] if key[0] == 'x' else key}" if role == "recess" else ""
        yield element(
            tag,
            class_=f"part {'body' if is_filled else role}{painted}",
            fill=paint_of(piece.material, upright=is_upright) if is_filled else None,
            **attributes,
        )


def _break(size: Size) -> str:
    """Return the line of a piece that is not to scale."""
    y, step, wide = number(-size.h / 2), clamp(size.w / 6, 2, 7), number(size.w / 2 + 4)
    across, up, down = number(step * 0.6), number(-step), number(step * 2)
    middle = f"l{across} {up}l{number(step * 0.8)} {down}l{across} {up}"
    return element("path", class_="break", d=f"M-{wide} {y}L{up} {y}{middle}L{wide} {y}")


def _dimensions(size: Size, wall: float, ancho: str, altura: str) -> str:
    """Return the dimension lines, with the sizes."""
    text = wall * 0.055
    tick, x, y = text * 0.32, size.w / 2 + text * 0.8, text * 0.95
    w, h, whole = number(size.w / 2), number(size.h), number(tick * 2)
    lines = (
        f"M-{w} {number(y)}H{w}M{number(x)} -{h}V0",
        *(f"M{sign}{w} {number(y - tick)}v{whole}" for sign in ("-", "")),
        *(f"M{number(x - tick)} {at}h{whole}" for at in (f"-{h}", "0")),
    )
    across = {"x": 0, "y": y + text * 1.25, "text_anchor": "middle", "font_size": text}
    up = {"x": x + text * 0.45, "y": text * 0.35 - size.h / 2, "font_size": text}
    return element(
        "g",
        [
            element("path", d="".join(lines)),
            element("text", [f"{ancho} cm"], **across),
            element("text", [altura], **up),
        ],
        class_="dims",
    )
