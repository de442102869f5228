"""The event log: `base` says what every log promises, the others keep it."""
