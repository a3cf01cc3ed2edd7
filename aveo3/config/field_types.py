"""Types of fields that people write: numbers, addresses, regions. What is none is refused in words."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


def _plain_address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an address such as http://127.0.0.1:8089")
    if parts.username or parts.query:
        raise ValueError("must hold no user name, password or query; put the key into GOOGLE_API_KEY")
    return url.rstrip("/")


Count = Annotated[int, BeforeValidator(_no_bool)]
Seconds = Annotated[float, Field(allow_inf_nan=False), BeforeValidator(_no_bool)]
Dollars = Annotated[float, Field(allow_inf_nan=False), BeforeValidator(_no_bool)]
PerMinute = Annotated[float, Field(allow_inf_nan=False), BeforeValidator(_no_bool)]
Address = Annotated[str, AfterValidator(_plain_address)]
Region = Annotated[str, BeforeValidator(lambda text: text.strip().lower() if isinstance(text, str) else text)]
"""Of Google Cloud: `us-central1`, however it was written."""
