"""The public data sets: one module for each layout, that finds its cases and says what belongs together."""
