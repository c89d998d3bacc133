"""Every sealed column of the database. A test holds this against the schema, so that none is forgotten."""

from cloud.identity.oidc.model import SEALED_VERIFIERS
from cloud.identity.proofs.service import SEALED_SECRETS
from cloud.people.model import SEALED_NUMBERS
from cloud.signing.model import SEALED_PRIVATE_KEYS
from cloud.staff.model import SEALED_LICENCES
from cloud.waves.postgres import SEALED_OBJECT_KEYS

SEALED_COLUMNS = (
    SEALED_NUMBERS,
    SEALED_LICENCES,
    SEALED_SECRETS,
    SEALED_VERIFIERS,
    SEALED_PRIVATE_KEYS,
    SEALED_OBJECT_KEYS,
)
