"""Model packages: manifest, checksums, safe loading, installation."""
