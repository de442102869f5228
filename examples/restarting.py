"""Run a program, and start it again some seconds after it was killed: the broker of the demo.

    python restarting.py PID_FILE SECONDS PROGRAM [ARGUMENT ...]

The file has the id of the running program. SIGTERM stops the program and this one. If the program
ends by itself, this one ends with the same status.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path


def run(pid_file: Path, command: list[str]) -> int:
    """Run the program once; return its status."""
    program = subprocess.Popen(command)  # noqa: S603 - our own command
    try:
        pid_file.write_text(str(program.pid), encoding="ascii")
        return program.wait()
    except SystemExit:
        program.terminate()
        program.wait()
        raise
    finally:
        pid_file.unlink(missing_ok=True)


def main() -> int:
    """Run the program until it ends by itself; return its status."""
    pid_file, seconds, command = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    while (status := run(pid_file, command)) == -signal.SIGKILL:
        print(f"killed; it starts again in {seconds:g} s", flush=True)
        time.sleep(seconds)
    return status


if __name__ == "__main__":
    sys.exit(main())
