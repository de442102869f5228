"""A machine with a real systemd, for the units of ``deploy/systemd``.

systemd is process 1 of a new process namespace. In its mount namespace, changes of ``/etc``,
``/opt``, ``/srv`` and ``/var/lib`` go to a folder of the test, and ``/run`` and ``/tmp`` are empty.
The network is that of the test. When systemd ends, the kernel ends every other process there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.support.processes import children
from tests.support.server import ROOT, TIMEOUT, wait_until

PLACES = ("etc", "opt", "srv", "var/lib")
"""The folders that have files of the machine."""

OLDEST_SYSTEMD = 250
"""The units need this version, as docs/deploy.md says."""

TARGETS = ["basic", "multi-user", "network", "network-online", "shutdown", "sysinit", "umount"]
"""systemd needs these units. Those of this machine would start its services."""

SWITCHED_ON = """
set -e
folder=$1
group=$folder/groups/furniture-events-$$
mount -t cgroup2 cgroup2 "$folder/groups"
mkdir "$group"
(
    echo 0 > "$group/cgroup.procs"
    exec unshare --cgroup --fork --ipc --kill-child --mount --mount-proc --pid --uts \
        sh -c "$2" sh "$folder" "$3" "$4" "$5" "$6"
) &
read -r _ || true  # until the test closes this pipe, or has ended
kill -KILL $(cat "/proc/$!/task/$!/children") || kill -KILL $! || true
wait $! || true
for _ in $(seq 500); do  # for 5 s: the kernel still ends the processes
    if find "$group" -depth -type d -exec rmdir {} + 2>/dev/null; then exit; fi
    sleep 0.01
done
"""
"""Runs outside of the machine, which gets a control group of its own."""

BOOT = """
set -e
folder=$1 python=$2 packages=$3 source=$4 systemd=$5
umount "$folder/groups"
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys  # its settings belong to this machine
[ ! -e /dev/console ] || mount --bind /dev/null /dev/console
for place in etc opt srv var/lib; do
    layers="lowerdir=/$place,upperdir=$folder/upper/$place,workdir=$folder/scratch/$place"
    mount -t overlay overlay -o "$layers" "/$place"
done
mount --bind "$python" /opt/python
mount --bind "$packages" /opt/packages
mount --bind "$source" /opt/source
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/machine
mount --bind "$folder" /run/machine
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /var/tmp
mount --make-rshared /  # inside of the machine: systemd mounts credentials in another namespace
cd /
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=unshare \
    SYSTEMD_UNIT_PATH=/run/machine/units SYSTEMD_GENERATOR_PATH=/run/none \
    SYSTEMD_ENVIRONMENT_GENERATOR_PATH=/run/none \
    "$systemd" --system --unit=multi-user.target --log-target=null --show-status=false
"""
"""Runs as process 1 of the machine, and becomes its systemd."""

PYTHON = """#!/bin/sh
export LD_LIBRARY_PATH=/opt/python/lib
export PYTHONPATH=/opt/source:/opt/source/clients/python/src:/opt/packages
exec /opt/python/bin/{name} {arguments} "$@"
"""
"""This Python and the packages of the tests, in places that a unit with ProtectHome can see."""


class Machine:
    """A machine that is switched off, until ``start``.

    Args:
        folder: keeps the machine's files.

    Attributes:
        process: systemd's process id on this machine.
    """

    def __init__(self, folder: Path) -> None:
        self._systemd = _find_systemd()
        self._folder = folder
        for place in PLACES:
            (folder / "upper" / place).mkdir(parents=True)
            (folder / "scratch" / place).mkdir(parents=True)
        for place in ("opt/python", "opt/packages", "opt/source"):
            (folder / "upper" / place).mkdir()
        (folder / "groups").mkdir()
        for target in TARGETS:
            self.add_unit(f"{target}.target", "[Unit]\nDefaultDependencies=no\n")
        # There is no journal, so each service writes a file.
        output = "StandardOutput=append:/run/machine/%N.log\nStandardError=inherit\n"
        self.add_unit("service.d/output.conf", f"[Service]\n{output}")
        self.process = 0

    def path(self, path: str) -> Path:
        """Return where a file of the machine is for the test; its folder exists."""
        place = self._folder / "upper" / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def add_python(self, path: str, *arguments: str) -> None:
        """Write a program that runs this Python with these arguments."""
        name = Path(sys.executable).resolve().name
        self.path(path).write_text(PYTHON.format(name=name, arguments=" ".join(arguments)))
        self.path(path).chmod(0o755)

    def add_user(self, name: str, number: int) -> None:
        """Add a user and a group of this name."""
        for file, rest in (("passwd", f"{number}::/:/bin/sh"), ("group", "")):
            line = f"{name}:x:{number}:{rest}\n"
            self.path(f"etc/{file}").write_text(Path(f"/etc/{file}").read_text() + line)

    def add_unit(self, name: str, text: str) -> None:
        """Write a unit, or a file of ``UNIT.d/`` with changes."""
        place = self._folder / "units" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def start(self) -> None:
        """Switch the machine on, and wait until systemd has booted."""
        words = (sys.base_prefix, sysconfig.get_path("purelib"), str(ROOT), self._systemd)
        with (self._folder / "boot.log").open("wb") as log:
            self._switch = subprocess.Popen(
                [
                    "unshare",
                    "--mount",
                    "sh",
                    "-c",
                    SWITCHED_ON,
                    "sh",
                    str(self._folder),
                    BOOT,
                    *words,
                ],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )
        try:
            self.process = wait_until(self._find_process, "systemd runs")
            wait_until(self._has_booted, "systemd has booted")
        except AssertionError as error:
            raise AssertionError((self._folder / "boot.log").read_text()) from error

    def stop(self) -> None:
        """Switch the machine off, whatever runs there."""
        self._switch.communicate(timeout=TIMEOUT)

    def systemctl(self, *words: str) -> str:
        """Run systemctl there; return its output.

        Raises:
            AssertionError: it has failed. The message has the output of the services.
        """
        done = self._run("systemctl", "--no-pager", *words)
        logs = "".join(it.read_text() for it in self._folder.glob("*.log"))
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}{logs}"
        return done.stdout

    def show(self, unit: str) -> dict[str, str]:
        """Return all properties of a unit."""
        lines = self.systemctl("show", unit).splitlines()
        return dict(line.split("=", 1) for line in lines)

    def log(self, unit: str) -> str:
        """Return all that a service has written."""
        return (self._folder / f"{unit}.log").read_text()

    def read(self, path: str) -> str:
        """Return the text of a file, as root sees it there."""
        done = self._run("cat", path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["nsenter", "--target", str(self.process), "--all", *words],
            check=False,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            env={"PATH": os.environ["PATH"]},
        )

    def _find_process(self) -> int | None:
        """Return the process id of the systemd, if the boot has come so far."""
        for unshare in children(self._switch.pid):
            for process in children(unshare):
                if Path(f"/proc/{process}/comm").read_text() == "systemd\n":
                    return process
        return None

    def _has_booted(self) -> bool:
        return self._run("systemctl", "is-system-running").returncode == 0


def _find_systemd() -> str:
    """Return the path of systemd; skip the test if it cannot run here."""
    systemd = shutil.which("systemd", path="/usr/lib/systemd:/lib/systemd")
    if systemd is None:
        pytest.skip("systemd is missing: make systemd")
    version = subprocess.check_output([systemd, "--version"], text=True).split()[1]
    if int(version.partition(".")[0].partition("~")[0]) < OLDEST_SYSTEMD:
        pytest.skip(f"systemd {version} is too old for the units")
    allowed = ["unshare", "--mount", "--pid", "--fork", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    if subprocess.run(allowed, check=False, capture_output=True).returncode:
        pytest.skip("unshare and mount are not allowed here: only root may do it")
    return systemd
