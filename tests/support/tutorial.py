"""The tutorial as a script."""

from __future__ import annotations

import os
import re
import shlex

BLOCK = re.compile(
    r"(?:^(?:Put this into|(?P<end>Add this to the end of)) `(?P<file>[^`\n]+)`:\n\n)?"
    r"^```(?P<kind>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


def script(tutorial: str) -> str:
    """Return what a reader does, as one script."""
    steps = ["set -e"]
    for block in BLOCK.finditer(tutorial):
        text, file = block["text"], block["file"]
        if block["kind"] == "sh":
            steps.append(text)
        else:
            assert file, f"in which file is this? {text}"
            steps.append(f"mkdir -p {shlex.quote(os.path.dirname(file))}")  # noqa: PTH120
            steps.append(f"cat {'>>' if block['end'] else '>'} {file} <<'END'\n{text}END")
    return "\n".join(steps).replace(
        "python manage.py furniture_dev", "exec python manage.py furniture_dev"
    )
