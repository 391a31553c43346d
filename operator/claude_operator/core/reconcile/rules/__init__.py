"""The rules of one reconcile pass, in order."""
