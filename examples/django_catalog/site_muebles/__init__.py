"""The site: its settings and its URLs."""
