"""The event log: ``contract`` says in words what every log promises; each folder is one log."""
