"""Turns a configuration of promptfoo into a ClaudeEvalSet, and names each thing that it cannot take."""
