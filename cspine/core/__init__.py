"""What every package knows: levels, geometry, volumes, findings, errors. Imports nothing else of cspine."""
