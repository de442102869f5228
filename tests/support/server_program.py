"""The server's program, with the imports that its command makes only when it runs."""

from sio_server import app
from sio_server.__main__ import main

__all__ = ["app", "main"]
