"""`claude-operator organisation`: reads the usage and cost of an organisation, and keeps them."""
