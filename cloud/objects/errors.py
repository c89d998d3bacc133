"""What can be wrong with the object store."""

from cloud.errors import CloudError


class ObjectError(CloudError):
    """Base of this package's errors."""


class ObjectNameInvalid(ObjectError):
    """A name that could mean another place."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"{self.name!r} is no name of an object"


class ObjectMissing(ObjectError):
    """There is no such object."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"there is no object {self.name}"


class ObjectDamaged(ObjectError):
    """An object is shorter than it was, or was changed."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"object {self.name} is not what was written"


class ObjectStoreUnusable(ObjectError):
    """The store does not answer, or refuses; what was asked for may be tried again."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return f"the object store cannot be used for {self.name}: {self.reason}"
