"""A small authenticator in software: ES256, no attestation (WebAuthn level 3, sections 6.1, 6.5.4, 8.7)."""

import base64
import hashlib
import json
import os
from dataclasses import dataclass, field

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


def base64url(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass(kw_only=True)
class Authenticator:
    """One credential. `is_verifying` false is a key that nobody unlocked."""

    origin: str = "http://localhost"
    relying_party: str = "localhost"
    sign_count: int = 0
    counts: bool = True
    is_verifying: bool = True
    credential_id: bytes = field(default_factory=lambda: os.urandom(32))
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def create(self, options):
        """What `navigator.credentials.create` gives, as JSON."""
        numbers = self.key.public_key().public_numbers()
        cose = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        attested = (
            bytes(16) + len(self.credential_id).to_bytes(2, "big") + self.credential_id + cbor2.dumps(cose)
        )
        told = {"fmt": "none", "attStmt": {}, "authData": self._told(ATTESTED) + attested}
        return self._answer(
            clientDataJSON=self._client("webauthn.create", options), attestationObject=cbor2.dumps(told)
        )

    def get(self, options):
        """What `navigator.credentials.get` gives, as JSON."""
        self.sign_count += 1 if self.counts else 0
        told, client = self._told(0), self._client("webauthn.get", options)
        signature = self.key.sign(told + hashlib.sha256(client).digest(), ec.ECDSA(SHA256()))
        return self._answer(clientDataJSON=client, authenticatorData=told, signature=signature)

    def _told(self, flags):
        flags |= PRESENT | (VERIFIED if self.is_verifying else 0)
        party = hashlib.sha256(self.relying_party.encode()).digest()
        return party + bytes([flags]) + self.sign_count.to_bytes(4, "big")

    def _client(self, kind, options):
        client = {
            "type": kind,
            "challenge": options["challenge"],
            "origin": self.origin,
            "crossOrigin": False,
        }
        return json.dumps(client).encode()

    def _answer(self, **parts):
        name = base64url(self.credential_id)
        response = {key: base64url(part) for key, part in parts.items()}
        return {
            "id": name,
            "rawId": name,
            "type": "public-key",
            "response": response,
            "clientExtensionResults": {},
        }
