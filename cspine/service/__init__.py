"""`cspine serve-pacs`: receive studies, queue them on disk, run them, and deliver the results."""
