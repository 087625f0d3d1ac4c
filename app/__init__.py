"""The MONAI Deploy application: the graph of operators and its settings; imported as `cspine.app`."""
