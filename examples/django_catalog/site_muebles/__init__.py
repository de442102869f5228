"""The site: its settings and its pages' addresses."""
