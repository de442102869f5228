"""The steps of ``deploy/Containerfile``, carried out without a container engine.

Each step runs in a mount namespace. There, changes of ``/opt`` and ``/var/lib`` go to a folder of
the test. The base images are this machine's system, with this Python at ``/usr/local``. All stages
share one file system, so a copy from another stage is there already.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server import ROOT

STEP_SECONDS = 300
PLACES = ("opt", "var/lib")
"""The folders whose changes belong to the image."""

ENTER = """
set -e
folder=$1 python=$2 mode=$3
shift 3
for place in opt var/lib; do
    layers="lowerdir=/$place,upperdir=$folder/upper/$place,workdir=$folder/scratch/$place"
    [ "$mode" = build ] || layers="lowerdir=$folder/upper/$place:/$place"
    mount -t overlay overlay -o "$layers" "/$place"
done
if [ "$python" != /usr ]; then
    mount --bind "$python" /usr/local
    export LD_LIBRARY_PATH=/usr/local/lib
fi
if [ "$mode" = read-only ]; then
    mkdir -p "$folder/volume"
    chown 10001:10001 "$folder/volume"
    mount --bind "$folder/volume" /var/lib/furniture-events
    mount -o remount,bind,ro /
    cd /var/lib/furniture-events
    exec setpriv --reuid=10001 --regid=10001 --clear-groups --bounding-set=-all --no-new-privs "$@"
fi
mkdir -p /opt/build
cd /opt/build
exec "$@"
"""


class Image:
    """The result of a Containerfile.

    Args:
        folder: keeps the image's files.

    Attributes:
        user: the user that it runs as.
        environment: its environment variables.
        entrypoint: its command.
        healthcheck: the command of its health check.
    """

    def __init__(self, folder: Path) -> None:
        done = subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True)
        if done.returncode:
            pytest.skip("unshare --mount is not allowed here: only root may do it")
        self._folder = folder
        for place in PLACES:
            for kind in ("upper", "scratch"):
                (folder / kind / place).mkdir(parents=True)
        self.user = ""
        self.environment: dict[str, str] = {}
        self.entrypoint: list[str] = []
        self.healthcheck: list[str] = []

    def build(self, containerfile: Path) -> None:
        """Carry out all steps."""
        for line in containerfile.read_text().splitlines():
            if line and not line.startswith("#"):
                self._step(*line.split(maxsplit=1))
        shutil.rmtree(self._folder / "upper/opt/build")  # the last stage has not copied it

    def command(self, *words: str, read_only: bool = True) -> list[str]:
        """Return a command that runs another one in the image.

        Args:
            words: the other command.
            read_only: as user 10001, on a file system that is read-only but for the volume.
        """
        mode = "read-only" if read_only else "build"
        enter = ["unshare", "--mount", "sh", "-c", ENTER, "sh"]
        return [*enter, str(self._folder), sys.base_prefix, mode, *words]

    def run(self, *words: str, read_only: bool = True) -> str:
        """Run a command in the image; return its output."""
        kept = ("PIP_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "HOME")
        environment = {name: it for name, it in os.environ.items() if name.startswith(kept)}
        done = subprocess.run(
            self.command(*words, read_only=read_only),
            env={"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", **environment},
            check=False,
            capture_output=True,
            text=True,
            timeout=STEP_SECONDS,
        )
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def _step(self, name: str, value: str) -> None:
        match name:
            case "RUN":
                self.run("sh", "-c", value, read_only=False)
            case "COPY" if not value.startswith("--from"):
                *sources, target = shlex.split(value)
                for source in sources:
                    self._copy(source, target)
            case "COPY":
                path = value.split()[1]
                assert (self._folder / f"upper{path}").exists(), value
            case "ENV":
                self.environment |= dict(it.split("=", 1) for it in shlex.split(value))
            case "USER":
                self.user = value
            case "HEALTHCHECK":
                self.healthcheck = json.loads(value[value.index("[") :])
            case "ENTRYPOINT":
                self.entrypoint = json.loads(value)
            case _:
                assert name in ("FROM", "WORKDIR", "VOLUME", "EXPOSE"), name

    def _copy(self, source: str, target: str) -> None:
        """Copy what git has, and the installed Node.js packages, which would come again."""
        build = self._folder / "upper/opt/build"
        names = subprocess.check_output(["git", "ls-files", source], cwd=ROOT, text=True)
        for name in names.split("\n")[:-1]:
            place = build / (name if target != "./" else Path(name).name)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, place)
        packages = ROOT / source / "node_modules"
        if packages.exists():
            (build / source / "node_modules").symlink_to(packages)
