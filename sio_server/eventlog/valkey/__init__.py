"""The event log in Valkey or Redis, shared by any number of servers."""
