"""A client's request: composed with its revision, and assigned to an arm."""
