"""What the wire says: events, rooms, commands, errors and JSON. Pure: no I/O and no asyncio."""
