"""``docs/django.md``: its code runs in a site, its commands and its other texts are real."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.support.pages import ROOT, blocks
from tests.support.server import python_path

PAGE = ROOT / "docs/django.md"

MODELS = """
import uuid

from django.conf import settings
from django.db import models


class Coleccion(models.Model):
    nombre = models.CharField(max_length=255)


class Taller(models.Model):
    nombre = models.CharField(max_length=255)


class Artesano(models.Model):
    taller = models.ForeignKey(Taller, models.CASCADE, related_name="artesanos")


class Material(models.Model):
    nombre = models.CharField(max_length=255)


class Piece(models.Model):
    nombre = models.CharField(max_length=255)
    descripcion = models.TextField(blank=True)
    altura = models.FloatField()
    ancho = models.FloatField()
    material = models.CharField(max_length=255)
    autor = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    autor_username = property(lambda piece: piece.autor.username)

    class Meta:
        abstract = True


class Mueble(Piece):
    publicado = models.BooleanField()
    coleccion = models.ForeignKey(Coleccion, models.SET_NULL, null=True, related_name="muebles")
    artesano = models.ForeignKey(Artesano, models.SET_NULL, null=True, related_name="muebles")
    materiales = models.ManyToManyField(Material)


class Baul(Piece):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    deleted = models.DateTimeField(null=True)


class Lampara(Piece):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    coleccion = models.ForeignKey(Coleccion, models.SET_NULL, null=True, related_name="lamparas")
"""


def test_its_code_runs_in_a_site(tmp_path: Path) -> None:
    """Settings, models, views, templates and a test, together in one site."""
    package = tmp_path / "catalog"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "models.py").write_text(MODELS)
    (package / "rules.py").write_text("def is_for_sale(lamp):\n    return True\n")
    found = {language: blocks(language, PAGE) for language in ("python", "html")}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", ROOT / "tests/docs/django_page.py"],
        input=json.dumps(found),
        cwd=tmp_path,
        env={"PYTHONPATH": python_path(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_texts_are_read_elsewhere() -> None:
    """The lines of a comparison, and the policy for the browser."""
    comparison, policy = blocks("text", PAGE)[1:]
    assert comparison.endswith("not_in_log=120\n")
    assert policy.startswith("script-src")
    for test in ("test_compare.py", "test_live_events.py"):
        assert "docs/django.md" in (ROOT / "tests/django" / test).read_text()
