"""Who signed which document, so that anybody can prove it without this system."""
