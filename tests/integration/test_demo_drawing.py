"""The demo's drawings, which are those of the live page, and its texts."""

from __future__ import annotations

import gettext
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from sio_server.endpoints.pages import PAGE
from tests.support.demo import SITE
from tests.support.server import TIMEOUT

sys.path.append(str(SITE))

from catalog.drawing.figure import LIST_WALL_CM, figure, measure, wall_for
from catalog.drawing.grain import GRAINS
from catalog.drawing.kinds import FORMS, MATERIALS, form_of, material_of
from catalog.drawing.shapes import FORMS as SHAPES

NAMES = ["Mesa de roble", "Taula", "LÁMPARA", "Sillones", "Baúl", "mesilla y mesa", "", "Ñ 😀 ß İ"]
MATERIALS_TRIED = ["Roble macizo", "roure", "bambú", "Wengé 😀", "", "ΆΣ", "poliéster", "Pi"]
SIZES = [(w, h) for w in (8, 45, 120, 400) for h in (9, 75, 190, 300)]

LIVE_PAGE = """
import { readFileSync } from "node:fs";
const [page, asked] = process.argv.slice(1), { names, materials, sizes } = JSON.parse(asked);
const kinds = await import(`${page}/kinds.js`), { forms } = await import(`${page}/shapes.js`);
function table(file, name) {
  const source = readFileSync(`${page}/${file}`, "utf8");
  const [, found] = source.match(new RegExp(`const ${name} = ({.*?\\n});`, "s"));
  return new Function(`return ${found}`)();
}
const draw = (form) => sizes.map(([w, h]) => forms[form](w, h));
console.log(JSON.stringify({
  forms: kinds.FORMS,
  materials: table("kinds.js", "MATERIALS"),
  grains: table("grain.js", "GRAINS"),
  form_of: names.map(kinds.formOf), material_of: materials.map(kinds.materialOf),
  shapes: Object.fromEntries(Object.keys(forms).map((form) => [form, draw(form)])),
}));
"""


@dataclass
class Piece:
    """A piece without a database."""

    nombre: str = "Mesa"
    material: str = "roble"
    altura: float | None = 75
    ancho: float | None = 120


@pytest.fixture(scope="module")
def live_page() -> dict[str, Any]:
    """Return what the scripts of the live page know and draw."""
    asked = {"names": NAMES, "materials": MATERIALS_TRIED, "sizes": SIZES}
    command = ["node", "--input-type=module", "-e", LIVE_PAGE, str(PAGE), json.dumps(asked)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def as_json(value: Any) -> Any:
    """Return the value with lists in place of tuples."""
    return json.loads(json.dumps(value))


def test_the_words_and_the_grain_are_those_of_the_live_page(live_page: dict[str, Any]) -> None:
    """A new word or material belongs to both."""
    assert as_json(list(FORMS.items())) == live_page["forms"]
    assert as_json(MATERIALS) == live_page["materials"]
    assert as_json(GRAINS) == live_page["grains"]
    assert [form_of(name) for name in NAMES] == live_page["form_of"]
    assert [material_of(it) for it in MATERIALS_TRIED] == live_page["material_of"]


def test_each_form_is_drawn_as_in_the_live_page(live_page: dict[str, Any]) -> None:
    """In each size, part by part. Numbers differ by less than a hair."""
    assert set(SHAPES) == set(live_page["shapes"])
    for form, draw in SHAPES.items():
        for (w, h), theirs in zip(SIZES, live_page["shapes"][form], strict=True):
            ours = draw(w, h)
            assert [(tag, role) for tag, _, role in ours] == [
                (tag, role) for tag, _, role in theirs
            ]
            for (_, mine, _), (_, other, _) in zip(ours, theirs, strict=True):
                assert values(mine) == pytest.approx(values(other), abs=0.011), (form, w, h)


def values(attributes: dict[str, Any]) -> dict[str, float]:
    """Return the numbers of a part, by their names; those of a path by their place."""
    if "d" not in attributes:
        return attributes
    found = {}
    for place, word in enumerate(attributes["d"].split()):
        if word.isalpha():
            found[f"{place} {word}"] = 0.0
        else:
            found[str(place)] = float(word)
    return found


@pytest.mark.parametrize(
    ("piece", "drawn"),
    [
        (Piece(), (120, 75, True)),
        (Piece(altura=300, ancho=120), (84, LIST_WALL_CM - 10, False)),
        (Piece(altura=420, ancho=210), (105, LIST_WALL_CM - 10, False)),
        (Piece(altura=None, ancho=None), (1.5, 1.5, False)),
    ],
)
def test_a_piece_is_drawn_to_scale_or_says_that_it_is_not(
    piece: Piece, drawn: tuple[float, float, bool]
) -> None:
    """A line breaks a drawing that is smaller than the scale. A piece without size is a box."""
    size = measure(piece, LIST_WALL_CM)
    assert size == pytest.approx(drawn)
    assert ("break" in figure(piece)) == (not size.is_to_scale and piece.ancho is not None)
    assert ("unsized" in figure(piece)) == (piece.ancho is None)


def test_a_single_piece_has_the_lowest_wall_at_which_it_stands() -> None:
    """Up to the highest one."""
    assert [wall_for(Piece(altura=altura, ancho=1)) for altura in (75, 151, 999)] == [120, 220, 420]


def test_no_text_becomes_markup() -> None:
    """Neither in the drawing nor beside it."""
    hostile = '"><script>&'
    svg = figure(Piece(hostile, hostile), numbers=(hostile, hostile))
    assert "<script" not in svg
    assert "&lt;script&gt;&amp;" in svg


def test_every_text_has_its_translation() -> None:
    """Those of the templates and of the models are in the file that Django reads."""
    app = SITE / "catalog"
    with (app / "locale/en/LC_MESSAGES/django.mo").open("rb") as compiled:
        english = gettext.GNUTranslations(compiled)
    templates = "".join(path.read_text("utf-8") for path in app.glob("templates/**/*.html"))
    models = (app / "models.py").read_text("utf-8")
    plain = re.findall(r"""{% translate (["'])(.+?)\1""", templates)
    blocks = re.findall(r"{% blocktranslate.*?%}(.*?){% (?:plural|endblocktranslate)", templates)
    texts = {text for _, text in plain} | set(re.findall(r'_\("(.+?)"\)', models))
    texts |= {re.sub(r"{{ (\w+) }}", r"%(\1)s", text) for text in blocks}
    assert len(texts) > 50
    same = {text for text in texts if english.gettext(text) == text}
    assert {text for text in same if english.ngettext(text, "", 1) == text} == {"material"}
