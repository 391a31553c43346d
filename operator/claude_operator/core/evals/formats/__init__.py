"""The forms in which people keep eval items: JSONL, JSON, CSV, YAML; and the templates in them."""
