"""The queue on disk: its folder, its jobs, and the changes of their state."""
