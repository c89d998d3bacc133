"""The scheme of a suite."""

from typing import Protocol

from cloud.errors import CloudError
from cloud.signing.schemes.ecdsa import EcdsaScheme
from cloud.signing.schemes.ed25519 import Ed25519Scheme
from cloud.store.suite import Suite


class SchemeMissing(CloudError):
    """The extra that a scheme needs is not installed."""

    def __str__(self) -> str:
        return "SM2 needs the extra `sm`: pip install 'qianli[cloud,sm]'"


class Scheme(Protocol):
    """One way to sign bytes. Keys and signatures are bytes whose meaning only the scheme knows."""

    def make_private(self) -> bytes:
        """A new private key."""

    def public_of(self, private: bytes) -> bytes:
        """Its public key."""

    def sign(self, private: bytes, message: bytes) -> bytes:
        """A signature."""

    def verify(self, public: bytes, message: bytes, *, signature: bytes) -> bool:
        """Whether the holder of the private key signed exactly this; any bytes may be asked about."""


def scheme_of(suite: Suite) -> Scheme:
    """The scheme.

    Raises:
        SchemeMissing: as its name says.
    """
    if suite is Suite.ED25519:
        return Ed25519Scheme()
    if suite is Suite.ECDSA:
        return EcdsaScheme()
    try:
        from cloud.signing.schemes.sm2 import Sm2Scheme  # noqa: PLC0415 # an optional extra
    except ImportError as error:
        raise SchemeMissing from error
    return Sm2Scheme()
