"""`cspine doctor`: check whether this machine or container is ready for a run."""
