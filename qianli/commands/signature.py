"""Check a signature on any machine, without a database."""

import argparse
import json
from hashlib import sha256
from pathlib import Path

from cloud.signing.model import SignatureInvalid, read_signature_file
from cloud.signing.service import check_signature
from qianli.errors import StartRefused

HELP = "check who signed a document; exit code 1 if the signature proves nothing"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the one action."""
    actions = parser.add_subparsers(dest="action", required=True)
    verify = actions.add_parser("verify", help="check a signature file, which holds the document too")
    verify.add_argument("file", type=Path)
    verify.add_argument(
        "--key", help="SHA-256 of the signer's public key, as the register of the signer's place has it"
    )
    verify.add_argument("--content", type=Path, help="write the document here if its signature is valid")


def run(arguments: argparse.Namespace) -> int:
    """Print what is proved as one JSON object.

    Raises:
        StartRefused: a file cannot be read or written.
    """
    try:
        signature, content = read_signature_file(arguments.file.read_bytes())
        fingerprint = sha256(signature.key.public_key).hexdigest()
        statement = check_signature(signature, content)
        _require_key(fingerprint, arguments.key)
        if arguments.content is not None:
            arguments.content.write_bytes(content)
    except SignatureInvalid as error:
        print(json.dumps({"valid": False, "reason": error.reason}))
        return 1
    except OSError as error:
        raise StartRefused(
            f"无法使用文件 {error.filename}:{error.strerror}。",
            f"{error.filename} cannot be used: {error.strerror}.",
        ) from error
    licence = statement.licence
    proved = {
        "valid": True,
        "kind": statement.kind.value,
        "document": statement.document_id,
        "version": statement.version,
        "signer": statement.signer,
        "signed_at": statement.signed_at.isoformat(),
        "purpose": statement.purpose,
        "qualification": None if licence is None else licence.qualification_id,
        "scheme": statement.scheme.value,
        "key": fingerprint,
    }
    print(json.dumps(proved))
    return 0


def _require_key(fingerprint: str, trusted: str | None) -> None:
    if trusted not in (None, fingerprint):
        raise SignatureInvalid(f"it is signed with the strange key {fingerprint}")
