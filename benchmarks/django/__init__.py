"""The costs of the Django app, its outbox and its relay: ``python -m benchmarks.django``."""
