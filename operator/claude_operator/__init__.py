"""A Kubernetes operator for applications that call Claude."""

__version__ = "0.1.0"
