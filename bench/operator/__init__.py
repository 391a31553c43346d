"""What the operator costs."""
