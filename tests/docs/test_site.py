"""The documentation as a site: it builds without a warning, and loads nothing from elsewhere.

A link to a page, a heading or a file that does not exist is a warning, and so is a page that no
table of contents has.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import javascript_api, pages
from tests.support.pages import ROOT

LOADED = re.compile(r"<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)=\"(?:https?:)?//[^\"]*\"")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as ``make docs-site`` does."""
    folder = tmp_path_factory.mktemp("site")
    options = ("-c", "docs", "-E", "-W", "--keep-going", "-q")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, ".", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    """It also works without a network."""
    found = list(site.rglob("*.html"))
    assert len(found) > 60
    assert [it for page in found for it in LOADED.findall(page.read_text())] == []


def test_the_first_page_leads_to_the_documentation(site: Path) -> None:
    """And the reference from docstrings is not empty."""
    target = re.search(r"url=([\w/.]+)", (site / "index.html").read_text())
    assert target
    assert (site / target[1]).is_file()
    for file in ("llms.txt", "docs/tutorial.md", "README.es.md"):
        assert (site / file).read_text() == (ROOT / file).read_text()
    assert "publish_many" in (site / "docs/python-api.html").read_text()
    assert "publish_on_m2m" in (site / "docs/django-api.html").read_text()


def test_generated_pages_are_up_to_date() -> None:
    """``make docs`` writes them."""
    text = pages.SETTINGS.read_text()
    assert pages.with_tables(text) == text
    assert javascript_api.PAGE.read_text() == javascript_api.page()
