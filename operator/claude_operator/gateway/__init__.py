"""The data plane: one HTTP hop between applications and the Claude API."""
