"""Whether this machine or container is ready for a run: what `cspine doctor` looks at."""
