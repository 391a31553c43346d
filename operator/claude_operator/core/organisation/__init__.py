"""The organisation's usage and cost: what is read of them, whose they are, and how they agree with the gateways."""
