"""The ways in and out: each decodes, calls the hub, and answers."""
