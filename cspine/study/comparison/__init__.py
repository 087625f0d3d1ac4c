"""Models against each other: statistics, the paper's tables, reports."""
