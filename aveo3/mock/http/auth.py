"""Credential and JSON body of a request. A credential is required, but any value is accepted."""

import json
import math
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from aveo3.mock import error_bodies
from aveo3.mock.error_bodies import RequestError
from aveo3.mock.models import Surface
from aveo3.mock.state.request_log import Masks


@dataclass(frozen=True, slots=True)
class Caller:
    """An API key or a token. Google gives quotas to projects; a key belongs to one project."""

    secret: str
    by_key: bool


def caller_of(request: web.Request) -> Caller | None:
    """Read `Authorization: Bearer`, `x-goog-api-key` or `?key=`, in this order. Returns None without a credential."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return Caller(token.strip(), by_key=False)
    key = request.headers.get("x-goog-api-key") or request.query.get("key")
    return Caller(key, by_key=True) if key else None


def authorized(request: web.Request, surface: Surface) -> Caller:
    """Return the caller. Raises RequestError without a credential, or with a key on a path that needs a token."""
    caller = caller_of(request)
    if caller is None:
        raise RequestError(error_bodies.no_credential(surface))
    if caller.by_key and "project" in request.match_info:
        raise RequestError(error_bodies.KEY_ON_PROJECT_PATH)
    return caller


def shown_as(request: web.Request, masks: Masks) -> str:
    """Return the caller of a request in a form that may be shown."""
    if (project := request.match_info.get("project")) is not None:
        return f"project {project}"
    caller = caller_of(request)
    return "no credential" if caller is None else masks.mask(caller.secret)


def port_of(request: web.Request) -> int | None:
    """Return the client's TCP port, which tells several processes of one caller apart. None without a connection."""
    peer = request.transport.get_extra_info("peername") if request.transport is not None else None
    return peer[1] if isinstance(peer, tuple) else None


def read_json(raw: bytes) -> Any:
    """The body as JSON. Raises RequestError where Google's parser refuses: depth, NaN, half an emoji, huge numbers."""
    try:
        value = json.loads(raw, parse_constant=_refuse, parse_float=_finite, parse_int=_short)
        if raw.count(b"[") + raw.count(b"{") > DEPTH and _is_deep(value):
            raise RecursionError
        if b"\\ud" in raw or b"\\uD" in raw:
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise RequestError(error_bodies.invalid("Invalid JSON payload received. Unexpected token.")) from None
    return value


DEPTH = 100
"""Levels of lists and objects, as in protobuf's parsers."""


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEPTH):
        level = [
            part
            for each in level
            if isinstance(each, dict | list)
            for part in (each.values() if isinstance(each, dict) else each)
        ]
    return any(isinstance(each, dict | list) for each in level)


def _refuse(word: str) -> Any:
    raise ValueError(word)


def _finite(text: str) -> float:
    return float(text) if math.isfinite(float(text)) else _refuse(text)


def _short(text: str) -> int:
    return int(text) if len(text) <= 300 else _refuse(text)  # as far as floating point goes
