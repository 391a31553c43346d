"""`kubectl claude`: the command line for people."""
