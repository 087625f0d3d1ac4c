"""Measurements of vertebrae: volume, Hounsfield units, position and extent."""
