"""A notification server for a furniture catalogue: Socket.IO, WebSocket, SSE and HTTP."""

__version__ = "0.1.0"
