"""Engine.IO 4 and Socket.IO 5, statement by statement; and servers for the official suites."""
