"""Read and write DICOM: scan headers, select a series, read a CT volume; write CT series and segmentations."""
