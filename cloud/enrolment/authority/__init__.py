"""A small certificate authority: pure issuing in `certificates`, its files in `files`."""
