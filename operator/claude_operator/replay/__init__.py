"""The judge at a desk: replay and plot the evidence of a rollout."""
