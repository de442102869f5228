"""A warning is visible, even if the application configures no logging."""

import subprocess
import sys


def test_a_warning_is_printed_to_stderr_without_any_logging_configuration() -> None:
    """Python prints warnings that no handler takes. A NullHandler would hide them."""
    code = (
        "from furniture_events import Producer, Unreachable\n"
        "producer = Producer('http://127.0.0.1:9', attempts=2, backoff=0)\n"
        "try:\n    producer.position()\n"
        "except Unreachable:\n    pass\n"
    )
    done = subprocess.run(  # noqa: S603 - our own interpreter and code
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stderr == "retry attempt=2 delay=0.000 reason=Unreachable\n"
