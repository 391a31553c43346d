"""What the API server itself refuses of a request: the checks of `core/catalogue/checks` as admission policies."""
