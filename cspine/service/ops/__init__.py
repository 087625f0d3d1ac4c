"""Operation of the service: logs, metrics, status, and the configuration reference."""
