"""Inference: preprocess the CT, run the network in tiles, restore labels to the grid of the CT."""
