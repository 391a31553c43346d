"""What is wrong with manifests, and what an edit of them costs, without a cluster."""
