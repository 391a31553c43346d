"""Is the canary worse than stable? From the gateways' counters to a verdict, pure and in constant memory."""
