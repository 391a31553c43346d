"""The commands, a module for what belongs together."""
