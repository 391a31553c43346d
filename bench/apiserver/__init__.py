"""What a write of one object costs the API server, by what is in the object."""
