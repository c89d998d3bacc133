"""SM2 with SM3 (GB/T 32918.2, GM/T 0003.2), through GmSSL; needs the extra `sm`.

The signer's distinguishing id is the usual `1234567812345678` of GM/T 0009. Signatures are DER, public keys
the 64 bytes x || y.
"""

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from gmssl_pyx.gmsslext import GmsslInnerError, sm2_key_generate, sm2_sign, sm2_verify
from gmssl_pyx.sm2_utils import normalize_sm2_public_key

_KEY_BYTES = 32
_PUBLIC_BYTES = 64


class Sm2Scheme:
    """A private key is kept with its public one (96 bytes), which the signature's hash needs."""

    def make_private(self) -> bytes:
        """A new private key."""
        public, private = sm2_key_generate()
        return bytes(private + public)

    def public_of(self, private: bytes) -> bytes:
        """Its public key."""
        return private[_KEY_BYTES:]

    def sign(self, private: bytes, message: bytes) -> bytes:
        """About 71 bytes."""
        return bytes(sm2_sign(private[:_KEY_BYTES], private[_KEY_BYTES:], message))

    def verify(self, public: bytes, message: bytes, *, signature: bytes) -> bool:
        """Whether the holder of the private key signed exactly this."""
        try:
            # The library writes to stderr about bytes that are no signature: they never reach it.
            if encode_dss_signature(*decode_dss_signature(signature)) != signature:
                return False
            point = normalize_sm2_public_key(public)
            return len(public) == _PUBLIC_BYTES and bool(sm2_verify(point, message, signature))
        except (ValueError, GmsslInnerError):
            return False
