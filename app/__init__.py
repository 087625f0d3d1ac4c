"""The MONAI Deploy application: the graph of operators and its start."""
