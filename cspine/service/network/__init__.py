"""TLS contexts and sessions with DICOMweb servers, for intake and delivery."""
