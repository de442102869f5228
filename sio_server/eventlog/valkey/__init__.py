"""The event log in Valkey or Redis, which any number of servers share."""
