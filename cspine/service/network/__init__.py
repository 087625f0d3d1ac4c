"""TLS contexts and DICOMweb sessions, shared by intake and delivery."""
