"""Reports of results for people and programs: summary, preview, picture sheets."""
