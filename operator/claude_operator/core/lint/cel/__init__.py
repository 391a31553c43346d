"""CEL, as far as the rules of the CustomResourceDefinitions use it: the same rules hold here and in the API server."""
