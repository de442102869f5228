"""A notification server for a furniture catalogue: Socket.IO, WebSocket, SSE and HTTP."""
