"""A Claude API to rehearse against."""
