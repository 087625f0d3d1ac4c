"""Synthetic CTs of complete spines: forms of single vertebrae, a column made of them, and the body around it."""
