"""Large bytes that are written once: a folder or S3, sealed piece by piece."""
