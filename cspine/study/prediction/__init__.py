"""Predictions of a model for many images: folders of NIfTI or DICOM, and the cases of a dataset, out of fold."""
