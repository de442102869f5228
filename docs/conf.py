"""The documentation as a site: ``make docs-site`` builds it in ``docs/_build/``.

The source folder is the whole project, so that a link in a page is the same link on the site, on a
code host and in an editor. ``docs/README.md`` is the page that sorts all others.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import django
from django.conf import settings
from pygments.lexer import RegexLexer
from pygments.token import Generic, Text

if TYPE_CHECKING:
    from sphinx.application import Sphinx

# The reference of the Django app imports it, and Django wants settings first.
settings.configure(
    INSTALLED_APPS=[
        "django.contrib.contenttypes",
        "django.contrib.auth",
        "furniture_events.django",
    ],
    FURNITURE_EVENTS={"URL": "http://localhost:8765", "KEY": None},
)
django.setup()

project = "Furniture events"
author = "the authors of Furniture events"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "docs/README"
include_patterns = [
    "*.md",
    "docs/*.md",
    "docs/**/*.md",
    "clients/*/README.md",
    "examples/**/README.md",
    "tests/README.md",
]
exclude_patterns = ["**/node_modules", ".*", "docs/_build", "dist", "var"]

myst_heading_anchors = 4
myst_enable_extensions = ["html_image"]

autoclass_content = "both"  # a class and its constructor are one thing to a reader
autodoc_member_order = "bysource"
autodoc_typehints = "description"
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = "Furniture events"
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
html_static_path = ["static"]
html_css_files = ["site.css"]
html_extra_path = ["site", "../llms.txt"]  # index.html leads to the page that sorts all others


class Session(RegexLexer):
    """A session: typed lines begin with ``$`` or ``>``, answers of a WebSocket with ``<``."""

    tokens: ClassVar = {
        "root": [
            (r"^[$>] ", Generic.Prompt),
            (r"^< .*\n", Generic.Output),
            (r".*\n", Text),
        ]
    }


def copy_pages(app: Sphinx, error: Exception | None) -> None:
    """Put the text of each page beside it, because ``llms.txt`` names these files."""
    for page in app.env.found_docs if error is None else ():
        shutil.copyfile(app.env.doc2path(page), Path(app.outdir, f"{page}.md"))


def setup(app: Sphinx) -> None:
    """Add the languages of the sessions."""
    app.connect("build-finished", copy_pages)
    app.add_lexer("console", Session)
    app.add_lexer("wscat", Session)
