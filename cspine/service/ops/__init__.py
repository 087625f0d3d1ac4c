"""What those who run the service see: log lines, metrics, status, the reference of the configuration."""
