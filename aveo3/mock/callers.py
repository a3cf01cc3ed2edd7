"""Who is asking: the credential of a request. Any value will do, as long as there is one."""

from dataclasses import dataclass

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Caller:
    """A key, or a token. Google sells quotas to projects; a key stands for the project it was made in."""

    secret: str
    by_key: bool


def caller_of(request: web.Request) -> Caller | None:
    """From `Authorization: Bearer`, `x-goog-api-key` or `?key=`, in this order; None if there is no credential."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return Caller(token.strip(), by_key=False)
    key = request.headers.get("x-goog-api-key") or request.query.get("key")
    return Caller(key, by_key=True) if key else None
