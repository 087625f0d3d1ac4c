"""Scripts that judge and ship models."""
