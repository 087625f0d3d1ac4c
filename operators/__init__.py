"""Holoscan operators, one per file: ports, and a call into cspine."""
