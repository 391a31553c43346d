"""A thin client for the Kubernetes API, in plain dicts."""
