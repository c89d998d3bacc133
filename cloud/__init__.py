"""The service and its UI."""
