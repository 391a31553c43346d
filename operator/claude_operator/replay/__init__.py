"""`claude-operator judge`: replay and plot the evidence of a rollout."""
