"""``docs/tutorial.md``: every block is run, in an empty folder and a new virtual environment."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.django.databases import on_sqlite
from tests.django.test_demo import submit
from tests.support.browser import page as new_page
from tests.support.processes import descendants, output_until, runs
from tests.support.server import ROOT, TIMEOUT, free_ports, wait_until
from tests.support.tutorial import script


@pytest.fixture
def tutorial(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Do what the tutorial says, on free ports; return the running command and the site's URL."""
    text = (ROOT / "docs/tutorial.md").read_text()
    port, broker_port = free_ports(2)
    for old, new in (
        ("~/furniture-events", str(ROOT)),
        ("8765", str(broker_port)),
        ("furniture_dev", f"furniture_dev {port}"),
    ):
        assert old in text
        text = text.replace(old, new)
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)} | {
        name: value for name, value in os.environ.items() if name.startswith(("PIP_", "npm_"))
    }
    with subprocess.Popen(
        ["bash", "-c", script(text)],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        yield process, f"http://127.0.0.1:{port}"
        process.terminate()


@on_sqlite
async def test_the_tutorial_leads_to_a_live_page(
    tutorial: tuple[subprocess.Popen[str], str],
) -> None:
    """A piece is added, changed and deleted in the admin, and an open page shows it each time."""
    process, url = tutorial
    output_until(process, "Ctrl-C")
    async with new_page() as page:
        page.set_default_timeout(TIMEOUT * 1000)
        await page.goto(url)
        await page.locator("[data-furniture-state=live]").wait_for()
        admin = await page.context.new_page()
        await admin.goto(f"{url}/admin/")
        await submit(admin, username="ana", password="ana")
        await admin.goto(f"{url}/admin/catalogo/mueble/add/")
        await submit(admin, nombre="Mesa", material="roble", autor="ana")
        await page.get_by_text("Mesa, roble").wait_for()
        await admin.locator("#result_list a", has_text="Mesa").click()
        await submit(admin, material="nogal")
        await page.get_by_text("Mesa, nogal").wait_for()
        await admin.locator("#result_list a", has_text="Mesa").click()
        await admin.locator(".deletelink").click()
        await submit(admin)
        await page.get_by_text("Mesa").wait_for(state="detached")
    started = descendants(process.pid)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0, output
    wait_until(lambda: not any(map(runs, started)), "all have ended")
