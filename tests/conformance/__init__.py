"""Tests of each statement of Engine.IO 4 and Socket.IO 5, and servers for their official suites."""
