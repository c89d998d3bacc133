"""DICOM objects and services. Nothing needs them yet: see README.md beside this file."""
