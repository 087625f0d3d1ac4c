"""From network labels to vertebrae: components, level order, findings."""
