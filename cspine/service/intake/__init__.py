"""Instances that come in, by DICOM or from a DICOMweb server, and how they become jobs."""
