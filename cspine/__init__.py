"""cspine: the vertebrae C1..C7 and T1 from a CT of the neck, as a DICOM Segmentation."""

__version__ = "0.1.0"
