"""Holoscan operators, one a file: ports, and a call into cspine."""
