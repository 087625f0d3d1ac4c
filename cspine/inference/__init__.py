"""Inference: preprocess, slide the window, restore to the CT grid."""
