"""What the gateways of a ClaudeDeployment have seen used and paid, kept beyond the life of any process. Pure."""
