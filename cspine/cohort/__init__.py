"""`cspine cohort`: run many studies in parallel with Ray, and collect their results in tables."""
