"""How other machines and phones come in: two codes to scan, and the fingerprint to compare."""

import hashlib
import io
import os
import ssl
from pathlib import Path

import segno

from cloud.broker.address import AUTHORITY_FILE
from cloud.own_names import own_names
from cloud.tls import spell
from qianli.home import Home


def show_ways_in(home: Home, host: str, *, https_port: int, trust_port: int) -> None:
    """Print addresses, codes and the authority's fingerprint."""
    further = tuple(name for name in os.environ.get("QIANLI_HTTPS_NAMES", "").split(",") if name)
    first, *others = own_names(host, further=further)
    fingerprint = read_fingerprint(home.path / "keys" / AUTHORITY_FILE)
    lines = [
        f"  ① 信任(只需一次)· trust, once   {address_of('http', first, trust_port)}",
        draw_code(address_of("http", first, trust_port)),
        "  手机显示的指纹必须是 · the phone must show the fingerprint",
        f"  SHA-256 {fingerprint[:47]}",
        f"          {fingerprint[48:]}",
        "",
        f"  ② 打开 · open   {address_of('https', first, https_port)}",
        draw_code(address_of("https", first, https_port)),
        f"  也可用 · also   {', '.join(others)}",
        "",
    ]
    print("\n".join(lines), flush=True)


def address_of(scheme: str, host: str, port: int) -> str:
    """A URL; an IPv6 address gets its brackets."""
    return f"{scheme}://[{host}]:{port}/" if ":" in host else f"{scheme}://{host}:{port}/"


def draw_code(text: str) -> str:
    """A QR code of half blocks, which any terminal shows."""
    out = io.StringIO()
    segno.make(text, error="m", micro=False).terminal(out, compact=True, border=2)
    return out.getvalue()


def read_fingerprint(path: Path) -> str:
    """SHA-256 of a certificate file, as phones print it."""
    return spell(hashlib.sha256(ssl.PEM_cert_to_DER_cert(path.read_text())).digest())
