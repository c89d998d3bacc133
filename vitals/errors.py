"""The root of every error that this project raises."""


class QianliError(Exception):
    """Base of all our errors. Subclasses carry fields and build their text in `__str__`."""
