"""The limit of open files."""

from __future__ import annotations

import json
import subprocess
import sys

from sio_server.net.openfiles import RESERVED_FILES
from tests.support.server import ROOT

PROGRAM = """
import json, resource
from sio_server.net import openfiles
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200))
before = openfiles.limit()
openfiles.raise_limit()
print(json.dumps([before, openfiles.limit(), openfiles.max_connections()]))
"""


def test_the_limit_is_raised_as_far_as_it_may() -> None:
    """Some files are kept free for other uses."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == [100, 200, 200 - RESERVED_FILES]
