"""The eval Job: load a set, ask, grade, compare, report."""
