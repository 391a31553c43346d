"""The judges, and what they share."""
