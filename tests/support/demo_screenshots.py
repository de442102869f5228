"""Takes the pictures of the demo that the README shows: ``make screenshots``."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from playwright.async_api import Page, ViewportSize

from tests.support import browser
from tests.support.demo import Demo
from tests.support.screenshots import IMAGES, SCHEMES, SETTLED_MS, SIZES

AGAIN = """
from auditlog.models import LogEntry
from catalog.models import Mueble
from django.contrib.auth.models import User
from django.core.management import call_command
from furniture_events.django import paused
with paused():
    Mueble.objects.all().delete()
    LogEntry.objects.all().delete()
    User.objects.filter(username="ana").delete()
    User.objects.filter(username="eva").delete()
    call_command("seed")
"""

CHANGES = """
from auditlog.context import set_actor
from catalog.models import Mueble
from django.contrib.auth.models import User
eva = User.objects.get(username="eva")
stool = {"nombre": "Taburete alto", "descripcion": "Para la barra", "material": "pino"}
with set_actor(eva):
    Mueble.objects.create(**stool, altura=68, ancho=36, autor=eva)
    butaca = Mueble.objects.get(nombre="Butaca")
    butaca.material, butaca.ancho = "lino", 92
    butaca.save()
    Mueble.objects.get(nombre="Taula de centre").delete()
"""


async def sign_in(page: Page, demo: Demo) -> None:
    """Open the list as ana."""
    await page.goto(f"{demo.url}/cuenta/login/?next=/")
    for name in ("username", "password"):
        await page.locator(f"[name={name}]").fill("ana")
    await page.get_by_role("button", name="Entrar").click()
    await page.locator("[data-furniture-state=live]").wait_for()


async def take(demo: Demo, scheme: str, width: int) -> None:
    """Take one picture of the list, right after a new, a changed and a deleted piece."""
    demo.script(AGAIN)
    options: dict[str, Any] = {"color_scheme": scheme, "locale": "es"}
    viewport = ViewportSize(width=width, height=SIZES[width])
    async with browser.page(viewport=viewport, **options) as page:
        await sign_in(page, demo)
        demo.script(CHANGES)
        await page.locator("[data-furniture-change=deleted]").wait_for()
        await page.wait_for_timeout(SETTLED_MS)
        await page.screenshot(path=IMAGES / f"demo-{width}-{scheme}.png")


def main() -> None:
    """Take a picture in each size and scheme."""
    with tempfile.TemporaryDirectory() as folder:
        demo = Demo(Path(folder), None, "site_muebles.settings")
        try:
            for scheme in SCHEMES:
                for width in SIZES:
                    asyncio.run(take(demo, scheme, width))
        finally:
            demo.stop()


if __name__ == "__main__":
    main()
