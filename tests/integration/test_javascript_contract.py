"""The pages' scripts handle exactly the event types of ``tests/vectors/contract.json``.

Node.js runs each script with a stub of the browser, and prints the event types that it handles.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from tests.support import typescript
from tests.support.server import ROOT, TIMEOUT

CONTRACT: dict[str, Any] = json.loads((ROOT / "tests/vectors/contract.json").read_text("utf-8"))
EVENT_TYPES = set(CONTRACT["event_types"])
CONNECTION_EVENTS = {"ready", "disconnect", "connect_error"}
"""The other events of a Socket.IO client."""

CATALOG = ROOT / "examples/django_catalog/catalog/static/catalog/catalog.js"
PAGE = ROOT / "sio_server/static/page"

RUN_CATALOG = """
import { readFileSync } from "node:fs";

const configuration = JSON.stringify({ url: "http://broker.example", since: "e-0", token: null });
const handlers = {};
const shown = [];

const makeRow = () => ({
  dataset: {},
  querySelectorAll: () => [],
  animate() {},
  remove() { shown.splice(shown.indexOf(this), 1); },
});
const list = { rows: shown, insertBefore: (row) => shown.push(row) };
const blank = { content: { querySelector: () => null } };
const state = { classList: { toggle() {} } };

globalThis.document = {
  getElementById: (id) =>
    ({ "furniture-events": { textContent: configuration }, muebles: list, blank, state })[id],
  createElement: () => ({}),
  importNode: makeRow,
  head: { append: (script) => script.onload() },
};
globalThis.io = () => ({ on: (name, handler) => { handlers[name] = handler; } });

const source = readFileSync(process.argv[1], "utf8");
await import(`data:text/javascript,${encodeURIComponent(source)}`);

const rows = {};
for (const type of JSON.parse(process.argv[2])) {
  shown.splice(0);
  const furniture = { furniture_id: "1" };
  handlers.furniture_created({ type: "furniture_created", furniture }, "e-1");
  handlers[type]?.({ type, furniture }, "e-2");
  rows[type] = shown.length;
}
console.log(JSON.stringify({ handlers: Object.keys(handlers), rows }));
"""
"""Runs the module with a list of rows; prints its handlers, and the rows after each event."""


def run_in_node(program: str, script: Path) -> dict[str, Any]:
    """Run a program in Node.js on a page's script and the event types; return its output."""
    command = ["node", "--input-type=module", "-e", program, str(script)]
    done = subprocess.run(
        [*command, json.dumps(CONTRACT["event_types"])],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


def test_the_catalogue_page_handles_exactly_the_contracts_event_types() -> None:
    """It listens to each event type and no other; only a deletion removes the piece's row."""
    printed = run_in_node(RUN_CATALOG, CATALOG)
    assert set(printed["handlers"]) - CONNECTION_EVENTS == EVENT_TYPES
    assert set(printed["handlers"]) >= CONNECTION_EVENTS
    assert printed["rows"] == {name: int(name != "furniture_deleted") for name in EVENT_TYPES}


def test_the_types_of_the_javascript_client_are_those_of_the_server() -> None:
    """``make docs`` writes them."""
    assert typescript.EVENTS.read_text("utf-8") == typescript.events_module()


def test_the_live_page_names_exactly_the_contracts_event_types() -> None:
    """It has a word and a sign for each event type and no other, in each language."""
    for path in (*PAGE.glob("words_*.js"), PAGE / "dom.js"):
        named = set(re.findall(r"^ +(furniture_\w+):", path.read_text("utf-8"), re.MULTILINE))
        assert named == EVENT_TYPES, path.name
