"""The report as one self-contained HTML page: findings, slices, a 3-D view, measurements, provenance."""
