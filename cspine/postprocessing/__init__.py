"""Postprocessing turns the labels of a network into vertebrae: components, order of levels, findings."""
