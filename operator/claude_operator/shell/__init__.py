"""The control plane around the core: kopf, queue, I/O."""
