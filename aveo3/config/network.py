"""What variables of the network, which other programs share, would break. Reads them and their files; sends nothing."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies_environment

from aveo3.errors import UsageError


def check_network(*, asks_proxies: bool) -> None:
    """Raise `UsageError` for a proxy or a file of certificates that nothing could be sent with.

    Without it the first request would fail for good, or run on as if Google were away.
    """
    if (file := os.environ.get("SSL_CERT_FILE")) is not None:
        _check_certificates(file)
    if asks_proxies:
        _check_proxies()


def _check_certificates(file: str) -> None:
    way_out = "Name a file with certificates (PEM), or unset SSL_CERT_FILE for the usual ones."
    try:
        content = Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"SSL_CERT_FILE={file} cannot be read: {error.strerror}. {way_out}") from None
    if b"-----BEGIN " not in content:
        raise UsageError(f"SSL_CERT_FILE={file} holds no certificate. {way_out}")


def _check_proxies() -> None:
    proxies = getproxies_environment()
    if "*" in [part.strip() for part in proxies.get("no", "").split(",")]:
        return
    for scheme in ("https", "http", "all"):
        url = proxies.get(scheme, "")
        kind = urlsplit(url).scheme.lower()
        if "://" in url and kind not in ("http", "https"):  # not shown: it may hold a password
            raise UsageError(
                f"{scheme.upper()}_PROXY names a proxy of kind {kind}, and aveo3 can only use proxies of kind http: "
                "set HTTPS_PROXY to one (many SOCKS programs offer both), and unset "
                f"{scheme.upper()}_PROXY and {scheme}_proxy."
            )
