"""Mutated CT series against the steps from scan to segmentation: `python -m tests.fuzz`, or `make fuzz`."""
