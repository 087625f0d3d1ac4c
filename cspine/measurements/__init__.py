"""Volumes, Hounsfield units and positions of vertebrae."""
