"""The statistics of the eval gate: from pairs of outcomes to bounds, without a library."""
