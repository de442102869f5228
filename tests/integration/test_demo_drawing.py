"""The demo's drawings are those of the live page: the same words, forms, sizes and grain."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from sio_server.endpoints.pages import PAGE
from tests.support.demo import SITE
from tests.support.server import TIMEOUT

sys.path.append(str(SITE))

from catalog.drawing.figure import figure, measure, swatch, wall_for  # noqa: E402
from catalog.drawing.grain import GRAINS, grains, paint_of  # noqa: E402
from catalog.drawing.kinds import FORMS, MATERIALS, form_of, material_of  # noqa: E402
from catalog.drawing.shapes import FORMS as SHAPES  # noqa: E402

NAMES = ["Mesa de roble", "Taula", "LÁMPARA", "Sillones", "Baúl", "mesilla y mesa", "", "Ñ 😀 ß İ"]
MATERIALS_TRIED = ["Roble macizo", "roure", "bambú", "Wengé 😀", "", "ΆΣ", "poliéster", "Pi"]
SIZES = [(w, h) for w in (8, 45, 120, 400) for h in (9, 75, 190, 300)]

LIVE_PAGE = """
import { readFileSync } from "node:fs";
const [page, asked] = process.argv.slice(1), { names, materials, sizes } = JSON.parse(asked);
const kinds = await import(`${page}/kinds.js`), { forms } = await import(`${page}/shapes.js`);
const table = readFileSync(`${page}/grain.js`, "utf8").match(/const GRAINS = (\\{.*?\\n\\});/s)[1];
const source = readFileSync(`${page}/kinds.js`, "utf8").match(/const MATERIALS = (\\{.*?\\n\\});/s)[1];
console.log(JSON.stringify({
  forms: kinds.FORMS, materials: new Function(`return ${source}`)(),
  grains: new Function(`return ${table}`)(),
  form_of: names.map(kinds.formOf), material_of: materials.map(kinds.materialOf),
  shapes: Object.fromEntries(Object.entries(forms).map(([name, draw]) => [name, sizes.map(([w, h]) => draw(w, h))])),
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
    assert list(SHAPES) == list(FORMS) + ["cabinet"]
    assert set(SHAPES) == set(live_page["shapes"])
    for form, draw in SHAPES.items():
        for (w, h), theirs in zip(SIZES, live_page["shapes"][form], strict=True):
            ours = draw(w, h)
            assert [(tag, role) for tag, _, role in ours] == [(tag, role) for tag, _, role in theirs]
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
