"""A ClaudeDeployment as it is written: what is wrong with it, and the revision that it makes."""
