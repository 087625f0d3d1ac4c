"""Models on CTs without labels: checks, agreement with themselves, pseudo-labels."""
