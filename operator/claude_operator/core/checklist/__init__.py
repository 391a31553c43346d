"""The rollout checklist: its fourteen items, what decides each, and signatures."""
