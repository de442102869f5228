"""The site's one app."""
