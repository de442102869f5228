"""The commands of the how-to pages, and the settings of Valkey: they run as they are written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sio_server import settings
from tests.support.pages import ROOT, blocks
from tests.support.processes import output_until, program_folder
from tests.support.server import TIMEOUT, Server, python_path
from tests.support.tutorial import script
from tests.support.valkey import Valkey

HOW_TO = ROOT / "docs/how-to"
COMMANDS = """
import os
import shlex
import sys

from django.core.management import execute_from_command_line
from django.db import connection

LAMP = "(titulo, alto, diametro, pantalla, taller, precio) VALUES ('Luz', 4, 2, 'lino', 'Sur', 9.5)"
os.environ["DJANGO_SETTINGS_MODULE"] = "tienda.settings"
for command in sys.stdin.read().splitlines():
    _, *words = shlex.split(command)
    if "publish_furniture" in words:
        connection.cursor().execute(f"INSERT INTO catalogo_lampara {LAMP}")
    execute_from_command_line(words)
"""
"""Commands of ``manage.py`` in one process. A lamp is there before the command that publishes."""

SECRET = "a-secret-of-at-least-32-bytes-from-a-file"


def environment(folder: Path) -> dict[str, str]:
    """Return the variables of a user who has installed the program, and who has set nothing."""
    programs = (str(program_folder(folder)), str(Path(sys.executable).parent), os.environ["PATH"])
    return {"PATH": os.pathsep.join(programs), "PYTHONPATH": python_path(ROOT), "HOME": str(folder)}


def run(commands: str, folder: Path) -> str:
    """Run commands in a folder; return their output."""
    done = subprocess.run(
        ["bash", "-euc", commands],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_an_empty_log_is_one_without_files(tmp_path: Path) -> None:
    """The command of ``back-up.md`` names all that a killed server leaves."""
    (command,) = blocks("sh", HOW_TO / "back-up.md")
    (tmp_path / "var").mkdir()
    server = Server(tmp_path, event_log=f"sqlite:///{tmp_path}/var/events.db")
    server.kill()
    assert len(list((tmp_path / "var").iterdir())) > 1
    run(command, tmp_path)
    assert list((tmp_path / "var").iterdir()) == []


def test_the_url_of_valkey_comes_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only its owner can read the file of ``move-to-valkey.md``."""
    (command,) = blocks("sh", HOW_TO / "move-to-valkey.md")
    run(command.replace("/run/secrets", str(tmp_path)), tmp_path)
    file = tmp_path / "event-log"
    assert file.stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv("SIO_EVENT_LOG_FILE", str(file))
    assert f"{settings.load({}).event_log}\n" == file.read_text()


def test_the_settings_of_valkey_exist(tmp_path: Path) -> None:
    """Those of ``valkey.md``: a real Valkey has the value of each line."""
    text = "".join(blocks("text", ROOT / "docs/valkey.md"))
    wanted = dict(line.split() for line in text.splitlines())
    valkey = Valkey(tmp_path, **wanted)
    valkey.start()
    try:
        assert {name: valkey.client.config_get(name)[name] for name in wanted} == wanted
    finally:
        valkey.stop()


def test_a_token_is_issued_and_explained(tmp_path: Path) -> None:
    """With the settings of ``single-page-app.md``."""
    exports, commands = blocks("sh", HOW_TO / "single-page-app.md")
    (tmp_path / "jwt").write_text(SECRET)
    (tmp_path / "keys").write_text("the-key-of-the-backend")
    issue, explain = (line.partition("#")[0] for line in commands.splitlines())
    steps = f"{exports}{issue} > token\n{explain} < token"
    explained = run(steps.replace("/run/secrets", str(tmp_path)), tmp_path)
    assert "material:*" in explained


def test_the_server_says_where_its_spans_go(tmp_path: Path) -> None:
    """As ``trace.md`` says."""
    page = HOW_TO / "trace.md"
    exports, _, _, _ = texts = blocks("sh", page)
    (start,) = (line for line in texts[1].splitlines() if line.startswith("SIO_TRACING"))
    (said,) = re.findall(r"at its start `(.+)`", page.read_text())
    _, *pairs = said.split()
    with subprocess.Popen(
        ["bash", "-c", f"{exports}exec env {start} --port 0 --event-log memory://"],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            line = output_until(process, "tracing").splitlines()[-1]
        finally:
            process.kill()
    assert all(pair in line for pair in pairs), line


def test_a_second_model_is_published(tmp_path: Path) -> None:
    """The steps of ``add-a-model.md``, on the site of the tutorial, with a lamp that is there."""
    tutorial = (ROOT / "docs/tutorial.md").read_text()
    site = script(tutorial[tutorial.index("## 2.") : tutorial.index("## 4.")])
    page = HOW_TO / "add-a-model.md"
    model, mapping, setting = blocks("python", page)
    (commands,) = blocks("sh", page)
    places = {"models.py": model, "events.py": mapping}
    assert all(f"`catalogo/{name}`" in page.read_text() for name in places)
    run(site, tmp_path)
    for file, text in {"catalogo/models.py": model, "catalogo/events.py": mapping}.items():
        with (tmp_path / file).open("a") as opened:
            opened.write(text)
    with (tmp_path / "tienda/settings.py").open("a") as opened:
        opened.write(setting)
    (tmp_path / "catalogo/migrations").mkdir(exist_ok=True)
    (tmp_path / "catalogo/migrations/__init__.py").touch()
    (tmp_path / "commands.py").write_text(COMMANDS)
    output = run(f"python commands.py <<'END'\n{commands}END", tmp_path)
    assert "published=1 hidden=0 failed=0" in output
