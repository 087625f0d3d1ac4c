"""The queue on disk: its folder, its jobs, and their state transitions."""
