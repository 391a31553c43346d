"""What uses which model: ClaudeDeployments and their revisions, graders, and API keys; how urgent each is."""
