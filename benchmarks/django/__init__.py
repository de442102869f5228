"""What Django, its outbox and its relay cost: ``python -m benchmarks.django``."""
