"""Synthetic CTs of necks whose vertebrae move on their own: bones of several people, posed one by one in a column."""
