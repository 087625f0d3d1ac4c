"""The vocabulary of every package: levels, geometry, volumes, findings, errors. It imports nothing else of cspine."""
