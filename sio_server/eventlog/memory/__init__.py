"""The event log in memory, for one process."""
