"""A rollout's ledger: every tick, as it was judged."""
