"""Model table, lifecycle and request validation."""
