"""Reads words: the form that a name means, and the material that a word means."""

import re
import unicodedata
from functools import lru_cache

__all__ = ["FORMS", "HUES", "MATERIALS", "form_of", "material_of"]

FORMS = {
    "bedside": ("mesilla", "mesita", "velador", "tauleta", "nightstand"),
    "desk": ("escritorio", "secreter", "pupitre", "escriptori", "desk"),
    "table": ("mesa", "taula", "table"),
    "stool": ("taburete", "tamboret", "puf", "stool"),
    "sofa": ("sofa", "divan", "chaise", "couch"),
    "armchair": ("butaca", "sillon", "mecedora", "armchair"),
    "chair": ("silla", "cadira", "chair"),
    "bench": ("banco", "banqueta", "banc", "bench"),
    "shelf": (
        *("estanteria", "libreria", "estante", "balda", "repisa"),
        *("prestatgeria", "shelf", "bookcase"),
    ),
    "wardrobe": ("armario", "ropero", "armari", "wardrobe", "closet"),
    "glazed": ("vitrina", "alacena", "display"),
    "drawers": ("comoda", "cajonera", "chifonier", "calaixera", "drawers", "dresser"),
    "sideboard": ("aparador", "buffet", "consola", "sideboard", "credenza"),
    "bed": ("cama", "litera", "cabecero", "llit", "bed"),
    "lamp": ("lampara", "flexo", "llum", "lamp"),
    "mirror": ("espejo", "mirall", "mirror"),
    "rack": ("perchero", "penjador", "rack"),
}
"""The words of each form. The order is from the particular to the general."""

MATERIALS = {
    "roble": ("roble", "roure", "oak"),
    "pino": ("pino", "pi", "pine"),
    "nogal": ("nogal", "noguera", "walnut"),
    "haya": ("haya", "faig", "beech"),
    "plastico": ("plastico", "plastic", "polipropileno", "resina"),
    "metal": ("metal", "acero", "hierro", "aluminio", "laton", "steel", "iron"),
    "cristal": ("cristal", "vidrio", "vidre", "glass"),
    "marmol": ("marmol", "marbre", "granito", "piedra", "marble", "stone"),
    "tela": ("tela", "lino", "lana", "algodon", "terciopelo", "fabric", "linen", "wool"),
}

HUES = (8, 26, 40, 55, 80, 110, 145, 165, 185, 200, 215, 230)
"""Calm hues, without pink and violet. An unknown material has one of them, everywhere the same."""


@lru_cache(maxsize=1000)
def form_of(nombre: str) -> str:
    """Return the first form with a word in the name; else ``cabinet``."""
    words = set(re.split("[^a-z]+", _plain(nombre)))
    for form, stems in FORMS.items():
        if any({stem, f"{stem}s", f"{stem}es"} & words for stem in stems):
            return form
    return "cabinet"


@lru_cache(maxsize=1000)
def material_of(material: str) -> str:
    """Return the material's key; that of an unknown one is ``x`` and its hue."""
    words = set(re.split("[^a-z]+", _plain(material)))
    for key, stems in MATERIALS.items():
        if words & set(stems):
            return key
    return f"x{_hue_of(material)}"


def _hue_of(text: str) -> int:
    value = 2166136261  # FNV-1a, of 32 bits
    for character in _plain(text):
        value = (value ^ ord(character)) * 16777619 & 0xFFFFFFFF
    return HUES[value % len(HUES)]


def _plain(text: str) -> str:
    """Return the text in lower case, without accents."""
    return re.sub("[\u0300-\u036f]", "", unicodedata.normalize("NFD", text.lower()))
