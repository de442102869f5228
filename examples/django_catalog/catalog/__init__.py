"""The catalogue of furniture."""
