"""A second app of the test site: drafts, and models of packages that many sites use."""
