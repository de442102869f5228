"""The way out: every consumer is a cursor over the event log."""
