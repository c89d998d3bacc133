"""What must be true at the commit of a transaction for it to be ours."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cloud.errors import CloudError
from cloud.store import queries
from cloud.store.connection import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """A condition in SQL, which locks what it looks at; `refusal` is raised where it does not hold.

    It is asked first in a transaction, or is part of the one statement that is a transaction.
    """

    condition: str = "true"
    values: Mapping[str, object] = field(default_factory=dict)
    refusal: CloudError = field(default_factory=CloudError)

    def hold(self, connection: Database) -> None:
        """Go on only if it is true; it stays so until the transaction ends."""
        if not queries.is_so(connection, self.condition, self.values):
            raise self.refusal


UNCONTESTED = Fence()
"""Nobody else writes."""
