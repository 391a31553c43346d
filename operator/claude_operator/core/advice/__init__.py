"""What would change the bill of a ClaudeDeployment, or bring a surface back into its latency budget. Pure."""
