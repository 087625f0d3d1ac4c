"""nnU-Net's own planning, preprocessing and training, from a dataset to a model package."""
