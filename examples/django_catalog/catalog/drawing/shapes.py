"""The forms of the furniture: front elevations, as parts. Knows no material.

Units are centimetres; x runs from -w/2 to w/2, y from -h (the top) to 0 (the floor). Thicknesses
are shares of the size with a least and a greatest value, so that 20 cm and 400 cm both look right.
"""

from collections.abc import Callable

from catalog.drawing.parts import Part, box, clamp, count, dot, legs, path, spread

__all__ = ["FORMS"]


def _table(w: float, h: float) -> list[Part]:
    top, leg = clamp(h * 0.055, 2, 5), clamp(w * 0.05, 2.5, 7)
    apron, inset = clamp(h * 0.1, 2, 9), clamp(w * 0.045, 1, 8)
    between = box(-w / 2 + inset + leg, -h + top, w - 2 * (inset + leg), apron)
    return [*legs(w, h - top, leg, inset), between, box(-w / 2, -h, w, top, 1)]


def _desk(w: float, h: float) -> list[Part]:
    top, leg = clamp(h * 0.05, 2, 4), clamp(w * 0.035, 2, 5)
    block, tall = clamp(w * 0.32, 12, 48), (h - top) * 0.62
    x = w / 2 - block - 2
    pulls = spread(3, -h + top, -h + top + tall)
    return [
        *legs(w, h - top, leg, 2),
        box(-w / 2 + 2 + leg, -h + top, w - block - leg - 4, clamp(h * 0.09, 2, 7)),
        box(x, -h + top, block, tall),
        *(path("M", x, -h + top + tall * line / 3, "h", block) for line in (1, 2)),
        *(path("M", x + block / 2 - 4, y, "h", 8, role="pull") for y in pulls),
        box(-w / 2, -h, w, top, 1),
    ]


def _chair(w: float, h: float) -> list[Part]:
    seat, post, slab = h * 0.49, clamp(w * 0.085, 2, 4.5), clamp(h * 0.045, 2, 5)
    rail, lean = clamp(h * 0.075, 3, 8), w * 0.06
    edge = w / 2 - post - lean
    slats = spread(count(w / 11, 2, 5), -edge, edge)
    return [
        *(box(x - post * 0.3, -h + rail, post * 0.6, h - seat - rail) for x in slats),
        *(
            path(
                *("M", side * (w / 2 - lean), -h, "h", -side * post),
                *("L", side * (w / 2 - post), -seat, "h", side * post, "Z"),
                role="body-v",
            )
            for side in (-1, 1)
        ),
        box(-w / 2 + lean - 1, -h, w - 2 * lean + 2, rail, 2),
        *legs(w, seat - slab, post, 1),
        box(-w / 2 + post + 1, -seat * 0.42, w - 2 * post - 2, slab * 0.5),
        box(-w / 2, -seat, w, slab, 1.5),
    ]


def _stool(w: float, h: float) -> list[Part]:
    slab, leg, inset = clamp(h * 0.09, 2.5, 6), clamp(w * 0.09, 2, 4), w * 0.16
    return [
        *(
            path(
                *("M", side * (w / 2 - inset), -h + slab, "h", -side * leg),
                *("L", side * (w / 2 - leg), 0, "h", side * leg, "Z"),
                role="body-v",
            )
            for side in (-1, 1)
        ),
        box(-w / 2 + inset * 0.45 + leg, -h * 0.36, w - inset * 0.9 - 2 * leg, leg * 0.7),
        box(-w / 2, -h, w, slab, slab / 2),
    ]


def _bench(w: float, h: float) -> list[Part]:
    slab, leg = clamp(h * 0.13, 2.5, 7), clamp(w * 0.04, 2.5, 7)
    rail = box(-w / 2 + w * 0.08 + leg, -h * 0.34, w * 0.84 - 2 * leg, clamp(h * 0.07, 1.5, 4))
    return [*legs(w, h - slab, leg, w * 0.08), rail, box(-w / 2, -h, w, slab, 1.5)]


def _upholstered(w: float, h: float, seats: int) -> list[Part]:
    leg, arm = clamp(h * 0.14, 2, 14), clamp(w * (0.085 if seats > 1 else 0.16), 4, 20)
    arm_top, seat, cushion, inner = h * 0.68, h * 0.5, h * 0.2, w - 2 * arm
    each, more = inner / seats, 0 if seats > 1 else 2
    seams = [-inner / 2 + each * index for index in range(seats)]
    round_cushion, round_arm = clamp(cushion * 0.4, 2, 7), clamp(arm * 0.5, 2, 9)
    return [
        *legs(w, leg, clamp(w * 0.05, 2, 5), w * 0.05),
        box(-w / 2 + arm * 0.5, -h, w - arm, h - leg, clamp(h * 0.12, 3, 11)),
        *(path("M", x, -h + 2, "V", -seat) for x in seams[1:]),
        box(-w / 2 + arm * 0.5, -seat + cushion * 0.5, w - arm, seat - cushion * 0.5 - leg, 1.5),
        *(box(x - more, -seat, each + 2 * more, cushion, round_cushion) for x in seams),
        *(box(x, -arm_top, arm, arm_top - leg, round_arm) for x in (-w / 2, w / 2 - arm)),
    ]


def _sofa(w: float, h: float) -> list[Part]:
    return _upholstered(w, h, count(w / 75, 2, 5))


def _armchair(w: float, h: float) -> list[Part]:
    return _upholstered(w, h, 1)


def _shelf(w: float, h: float) -> list[Part]:
    side, shelves = clamp(w * 0.035, 2, 4), count(h / 36, 1, 8)
    columns = count(w / 80, 1, 100) if w > 110 else 1
    return [
        box(-w / 2, -h, w, h, 0.5),
        box(-w / 2 + side, -h + side, w - 2 * side, h - 2 * side - 2, 0, "recess"),
        *(
            box(-w / 2 + side, -h + (h - side) * shelf / shelves, w - 2 * side, side * 0.9)
            for shelf in range(1, shelves)
        ),
        *(
            box(-w / 2 + w * column / columns - side / 2, -h + side, side, h - 2 * side - 2)
            for column in range(1, columns)
        ),
    ]


def _doored(w: float, h: float, fill: str) -> list[Part]:
    plinth, doors, edge = clamp(h * 0.035, 1.5, 8), count(w / 50, 2, 6), 2.5
    low = h * 0.2 if h > 150 and fill == "line" else 0
    each, tall = (w - 2 * edge) / doors, h - plinth - low - 2 * edge
    parts = [
        box(-w / 2 + 2, -plinth, w - 4, plinth, 0, "recess"),
        box(-w / 2, -h, w, h - plinth, 0.5),
    ]
    for door in range(doors):
        x = -w / 2 + edge + each * door
        pull = x + each * (0.12 if door % 2 else 0.88)
        at = -h + edge + tall * 0.46
        parts.append(box(x, -h + edge, each, tall, 0, fill))
        parts.append(path("M", pull, at, "v", clamp(tall * 0.12, 3, 16), role="pull"))
        if low:
            middle = x + each * 0.5 - 5
            parts.append(box(x, -plinth - low, each, low - edge, 0, "line"))
            parts.append(path("M", middle, -plinth - low / 2, "h", 10, role="pull"))
    return parts


def _wardrobe(w: float, h: float) -> list[Part]:
    return _doored(w, h, "line")


def _glazed(w: float, h: float) -> list[Part]:
    return _doored(w, h, "glass")


def _drawers(w: float, h: float) -> list[Part]:
    rows, columns = count(h / 24, 2, 6), 2 if w > 105 else 1
    leg = clamp(h * 0.12, 2, 12)
    tall, wide = (h - leg - 5) / rows, (w - 5) / columns
    parts = [*legs(w, leg, clamp(w * 0.05, 2, 5), 3), box(-w / 2, -h, w, h - leg, 1)]
    for index in range(rows * columns):
        x, y = -w / 2 + 2.5 + wide * (index % columns), -h + 2.5 + tall * (index // columns)
        parts.append(box(x, y, wide, tall, 0, "line"))
        parts.append(path("M", x + wide / 2 - 5, y + tall / 2, "h", 10, role="pull"))
    return parts


def _bedside(w: float, h: float) -> list[Part]:
    leg = h * 0.2
    body, drawer = h - leg, (h - leg) * 0.42
    return [
        *legs(w, leg, clamp(w * 0.08, 2, 4), 1.5),
        box(-w / 2, -h, w, body, 1),
        box(-w / 2 + 2.5, -h + drawer + 2, w - 5, body - drawer - 4.5, 0, "recess"),
        path("M", -w / 2, -h + drawer, "H", w / 2),
        path("M", -4, -h + drawer / 2, "h", 8, role="pull"),
    ]


def _sideboard(w: float, h: float) -> list[Part]:
    leg, doors = clamp(h * 0.2, 3, 18), count(w / 50, 2, 6)
    body, knobs = h - leg, spread(doors, -w / 2, w / 2)
    gaps = (-w / 2 + w * door / doors for door in range(1, doors))
    return [
        *legs(w, leg, clamp(w * 0.025, 2, 4), w * 0.06),
        box(-w / 2, -h, w, body, 1),
        box(-w / 2 + 2, -h + 2.5, w - 4, body - 5, 0, "line"),
        *(path("M", x, -h + 2.5, "V", -leg - 2.5) for x in gaps),
        *(
            dot(x + (-1 if door % 2 else 1) * (w / doors) * 0.36, -leg - body / 2, 1.2)
            for door, x in enumerate(knobs)
        ),
    ]


def _bed(w: float, h: float) -> list[Part]:
    leg, rail, mattress = clamp(h * 0.09, 2, 10), clamp(h * 0.2, 4, 22), clamp(h * 0.2, 5, 24)
    top, pillows = leg + rail + mattress, 2 if w > 120 else 1
    pillow, tall = min(w * 0.84 / pillows - 4, 70), clamp(h * 0.13, 3, 14)
    return [
        box(-w / 2, -h, w, h - leg, 2),
        path("M", -w / 2 + 4, -h + 4, "H", w / 2 - 4),
        *legs(w, leg, clamp(w * 0.04, 2, 6), 2),
        *(
            box(x - pillow / 2, -top - tall + 2, pillow, tall + 4, tall / 2, "linen")
            for x in spread(pillows, -w * 0.44, w * 0.44)
        ),
        box(-w / 2 + 2, -top, w - 4, mattress + 3, 4, "linen"),
        path("M", -w / 2 + 3, -top + mattress * 0.52, "H", w / 2 - 3),
        box(-w / 2, -leg - rail, w, rail, 1),
    ]


def _lamp(w: float, h: float) -> list[Part]:
    shade, foot, stem = clamp(h * 0.24, 6, 50), clamp(w * 0.62, 6, 40), clamp(w * 0.05, 1.2, 3)
    hood = ("M", -w * 0.32, -h, "H", w * 0.32, "L", w / 2, -h + shade, "H", -w / 2, "Z")
    return [
        box(-stem / 2, -h + shade * 0.8, stem, h - shade * 0.8 - 1.5),
        box(-foot / 2, -2.5, foot, 2.5, 1.2),
        path(*hood, role="linen"),
        path("M", w * 0.22, -h + shade, "v", shade * 0.45),
    ]


def _mirror(w: float, h: float) -> list[Part]:
    frame = clamp(min(w, h) * 0.06, 2, 6)
    glint = ("M", -w * 0.2, -h * 0.56, "L", w * 0.06, -h * 0.56 - w * 0.26)
    second = ("M", -w * 0.08, -h * 0.5, "L", w * 0.2, -h * 0.5 - w * 0.28)
    glass = box(-w / 2 + frame, -h + frame, w - 2 * frame, h - 2 * frame, 1, "glass")
    return [box(-w / 2, -h, w, h, 2), glass, path(*glint, *second)]


def _rack(w: float, h: float) -> list[Part]:
    pole = clamp(w * 0.07, 2, 4)
    return [
        box(-pole / 2, -h, pole, h - 3),
        path("M", -w / 2, 0, "L", 0, -h * 0.12, "L", w / 2, 0, role="stroke"),
        *(
            path(
                *("M", 0, -h + h * (at + 0.05), "Q", side * w * 0.3, -h + h * (at + 0.05)),
                *(side * w * 0.46, -h + h * at),
                role="stroke",
            )
            for at in (0.06, 0.2)
            for side in (-1, 1)
        ),
        dot(0, -h, pole * 0.6),
    ]


def _cabinet(w: float, h: float) -> list[Part]:
    if w > h * 1.25:
        return _sideboard(w, h)
    leg = clamp(h * 0.06, 1, 8)
    body, x = h - leg, -w / 2 + 2.5
    return [
        box(-w / 2 + 2, -leg, w - 4, leg, 0, "recess"),
        box(-w / 2, -h, w, body, 1),
        box(x, -h + 2.5, w - 5, body * 0.72, 0, "line"),
        box(x, -h + body * 0.72 + 4.5, w - 5, body * 0.28 - 7, 0, "line"),
        dot(w / 2 - 7, -h + body * 0.42, 1.2),
        path("M", -4, -leg - body * 0.13, "h", 8, role="pull"),
    ]


FORMS: dict[str, Callable[[float, float], list[Part]]] = {
    "bedside": _bedside,
    "desk": _desk,
    "table": _table,
    "stool": _stool,
    "sofa": _sofa,
    "armchair": _armchair,
    "chair": _chair,
    "bench": _bench,
    "shelf": _shelf,
    "wardrobe": _wardrobe,
    "glazed": _glazed,
    "drawers": _drawers,
    "sideboard": _sideboard,
    "bed": _bed,
    "lamp": _lamp,
    "mirror": _mirror,
    "rack": _rack,
    "cabinet": _cabinet,
}
"""A function of a width and a height for each form."""
