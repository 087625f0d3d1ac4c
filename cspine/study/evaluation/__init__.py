"""Labels against references: overlap, surface distance, levels."""
