"""The checks on an answer, each a row of one table (`kinds`), and what they need."""
