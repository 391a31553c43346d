"""`claude-operator grade`: grades answers of live traffic that the gateways have sampled."""
