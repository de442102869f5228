"""The event log in memory."""
