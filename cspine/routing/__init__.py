"""Studies in, results out, unattended: the service beside a PACS, its queue, and cohort runs."""
