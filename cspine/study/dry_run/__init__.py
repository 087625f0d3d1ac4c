"""A dry run of the study: a synthetic cohort in the layouts of the public data sets."""
