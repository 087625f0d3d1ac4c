"""Measurements of vertebrae, of neighbours and of the column, with their uncertainty and published values."""
