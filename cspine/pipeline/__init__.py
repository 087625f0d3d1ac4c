"""The way of a study: settings, steps, and the study from its headers to its results."""
