"""Sequential tests on evidence."""
