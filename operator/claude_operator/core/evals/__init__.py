"""The eval gate: sets, runs and the decision over them."""
