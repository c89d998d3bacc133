"""ECDSA on P-256 with SHA-256 (FIPS 186-5); signatures in DER, public keys as uncompressed points."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_CURVE = ec.SECP256R1()
_HOW = ec.ECDSA(SHA256())


class EcdsaScheme:
    """A private key is its number, 32 bytes, the high ones first."""

    def make_private(self) -> bytes:
        """A new private key."""
        return ec.generate_private_key(_CURVE).private_numbers().private_value.to_bytes(32, "big")

    def public_of(self, private: bytes) -> bytes:
        """Its public key, 65 bytes."""
        return _key(private).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def sign(self, private: bytes, message: bytes) -> bytes:
        """About 71 bytes."""
        return _key(private).sign(message, _HOW)

    def verify(self, public: bytes, message: bytes, *, signature: bytes) -> bool:
        """Whether the holder of the private key signed exactly this."""
        try:
            ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, public).verify(signature, message, _HOW)
        except (InvalidSignature, ValueError):
            return False
        return True


def _key(private: bytes) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(private, "big"), _CURVE)
