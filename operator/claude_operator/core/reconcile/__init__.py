"""One pass over a ClaudeDeployment: from what is observed to what is done."""
