"""Scripts that evaluate and ship models."""
