"""Synthetic CTs of whole spines: forms of single vertebrae, a column made of them, and the body around it."""
