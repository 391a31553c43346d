"""What is decided about the usage and cost of an organisation, without I/O and clock."""
