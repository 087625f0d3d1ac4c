"""`cspine serve-pacs`: studies come in, wait in a durable queue, are run, and their results go out."""
