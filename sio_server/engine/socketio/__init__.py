"""Socket.IO 5 over Engine.IO, behind python-socketio's public API."""
