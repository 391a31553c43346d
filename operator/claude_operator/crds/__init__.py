"""The command `crds`: CustomResourceDefinitions and their reference."""
