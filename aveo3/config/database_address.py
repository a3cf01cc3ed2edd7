"""The address of the PostgreSQL database that keeps a shared journal: checked, and shown without secrets. Pure.

libpq reads the address in the end, and finds what it leaves out where it always does: PGPASSWORD, ~/.pgpass, a service
file. Its errors quote the address, passwords included: so everything that it would quote is refused here first.
"""

from __future__ import annotations

import re
from typing import Annotated, Any
from urllib.parse import unquote

from pydantic import BeforeValidator, SecretStr

from aveo3.config.field_types import trimmed

EXAMPLE = "postgresql://USER@HOST/DATABASE"

_SECRET = ("password", "sslpassword", "oauth_client_secret")
"""Parameters behind the question mark that nobody may see."""

_ENCODE = "write special characters of a name or password as %XX, such as %40 for @ and %2F for /"


def database_address(value: Any) -> Any:
    """The address of a database as libpq gets it. Raises `ValueError`, which shows nothing of it but the scheme."""
    hidden = isinstance(value, SecretStr)
    text = trimmed(value.get_secret_value() if hidden else value)
    if not isinstance(text, str):
        return value
    _check_scheme(text)
    if not all("!" <= sign <= "~" for sign in text):
        raise ValueError(f"must hold no spaces and no other signs than ASCII: {_ENCODE}")
    if re.search(r"%(?![0-9A-Fa-f]{2})|%00", text):
        raise ValueError(f"holds a % that begins no %XX: {_ENCODE}, and % itself as %25")
    _, hosts, path, query = _parts(text)
    if "@" in hosts + path:
        raise ValueError(f"can be read in two ways because of an @ or a /: {_ENCODE}")
    for host in hosts.split(","):
        if re.fullmatch(r"(\[[0-9A-Fa-f:.%]+\]|[^:\[\]]*)(:[0-9]{0,5})?", host) is None:
            raise ValueError(f"must name hosts as HOST or HOST:PORT, the port as a number: {_ENCODE}")
    for pair in query.split("&") if query else ():
        if pair.count("=") != 1:
            raise ValueError("must have name=value, separated by &, behind the question mark")
    return SecretStr(text)


DatabaseAddress = Annotated[SecretStr, BeforeValidator(database_address)]


def passwords_in(url: str) -> list[str]:
    """The secrets in an address, as they are written there and as they are meant."""
    user, _, _, query = _parts(url)
    written = [user.partition(":")[2]]
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        written.append(value if unquote(name) in _SECRET else "")
    return [*dict.fromkeys(secret for text in written if text for secret in (text, unquote(text)))]


def shown_address(url: SecretStr) -> str:
    """The address as people may see it: hosts, ports and the database's name; or the service of a service file."""
    _, hosts, path, query = _parts(url.get_secret_value())
    pairs = dict(pair.partition("=")[::2] for pair in query.split("&"))
    hosts = hosts or pairs.get("host", "")
    if pairs.get("port") and hosts and ":" not in hosts:
        hosts = f"{hosts}:{pairs['port']}"
    name = path.lstrip("/") or pairs.get("dbname", "")
    service = f"?service={pairs['service']}" if "service" in pairs else ""
    return f"postgresql://{hosts}/{name}{service}"


def _check_scheme(text: str) -> None:
    scheme, there, _ = text.partition("://")
    if not there or not re.fullmatch(r"[\w+.:-]{1,40}", scheme):
        raise ValueError(f"must be an address such as {EXAMPLE}")
    if scheme in ("postgresql", "postgres"):
        return
    if re.match(r"(jdbc:)?postgres(ql)?\b", scheme, re.IGNORECASE):
        raise ValueError(f"must begin with postgresql://, not with {scheme}://: nothing else of it needs a change")
    raise ValueError(
        f"must be an address of PostgreSQL, such as {EXAMPLE}, and not of {scheme}. On one machine leave it out: "
        "the journal is a file in the output directory then"
    )


def _parts(url: str) -> tuple[str, str, str, str]:
    """User with password, hosts, path and query, split as libpq does it."""
    rest = url.partition("://")[2]
    user = ""
    if (found := re.match(r"[^@/]*@", rest)) is not None:
        user, rest = found[0][:-1], rest[found.end() :]
    before, _, query = rest.partition("?")
    hosts, slash, path = before.partition("/")
    return user, hosts, slash + path, query
