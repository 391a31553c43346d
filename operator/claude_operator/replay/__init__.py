"""The judge at a desk: replay and plot what a rollout was judged by."""
