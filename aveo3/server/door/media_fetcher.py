"""Fetches the pictures and videos that requests name by `https://`, where whoever runs the server allows it.

Callers choose the address, so it is judged as those of callbacks are, and on the very connection. Nothing but a picture
or a video of bounded size is taken, and no redirect is followed.
"""

from __future__ import annotations

import errno
from typing import Any, TypeVar

import aiohttp

from aveo3 import media_types
from aveo3.input_forms import ONE_MEDIUM, SEVERAL_MEDIA
from aveo3.media import Media, ReferenceImage
from aveo3.models import VideoPrompt
from aveo3.server.door import callback_address
from aveo3.server.door.caller_places import CallerPlaces
from aveo3.server.door.google_errors import Refused, invalid

LARGEST = 64 << 20
"""Bytes of all media that are fetched for one request."""

WITHIN = 60.0
"""Seconds that each may take."""

PARALLEL, EACH = 4, 2
"""Requests whose media are fetched at the same time, in all and of one caller."""

AT_GOOGLE = "https://generativelanguage.googleapis.com/"
"""What lies there is Google's own: it takes the address."""

AnyMedia = TypeVar("AnyMedia", bound=Media)


class MediaFetcher:
    """Puts the bytes in place of addresses. `private`: addresses that are not on the Internet are fetched, too."""

    def __init__(self, *, private: bool) -> None:
        self._private = private
        self._places = CallerPlaces(PARALLEL, EACH)
        self._http: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.close()

    def has_any(self, prompt: VideoPrompt) -> bool:
        """True if something is to be fetched for `prompt`."""
        return any(map(_is_elsewhere, prompt.media))

    async def with_bytes(self, prompt: VideoPrompt, account: str) -> VideoPrompt:
        """`prompt` with the bytes of what it names by `https://`. Raises `Refused` with what is wrong."""
        changes: dict[str, Any] = {}
        left = LARGEST
        async with self._places.place(account):
            for name in (*ONE_MEDIUM, *SEVERAL_MEDIA):
                value = getattr(prompt, name)
                media = [*value] if name in SEVERAL_MEDIA else [value]
                if not any(medium is not None and _is_elsewhere(medium) for medium in media):
                    continue
                for place, medium in enumerate(media):
                    if _is_elsewhere(medium):
                        media[place] = await self._with_bytes(medium, left)
                        left -= len(media[place].data)
                changes[name] = type(value)(media) if name in SEVERAL_MEDIA else media[0]
        return prompt.model_copy(update=changes)

    async def _with_bytes(self, medium: AnyMedia, most: int) -> AnyMedia:
        url = medium.uri or ""
        content = await self._get(url, most)
        kind, actual = medium.mime_type.partition("/")[0], media_types.type_of(content[: media_types.HEAD]) or ""
        if actual.partition("/")[0] != kind or kind not in ("image", "video") or "svg" in actual:
            raise _refused(url, f"it holds {actual or 'something else'}, not {medium.mime_type}")
        more: dict[str, Any] = {"type": medium.type} if isinstance(medium, ReferenceImage) else {}
        return type(medium)(data=content, mime_type=actual, **more)

    async def _get(self, url: str, most: int) -> bytes:
        if (why := callback_address.why_not(url, private=self._private)) is not None:
            raise _refused(url, why)
        if self._http is None:
            self._http = self._session()
        try:
            async with self._http.get(url, allow_redirects=False) as answer:
                if 300 <= answer.status < 400:
                    raise _refused(url, "it leads to another address: name that one, no redirect is followed")
                if answer.status != 200:
                    raise _refused(url, f"HTTP {answer.status}")
                content = bytearray()
                async for part in answer.content.iter_chunked(1 << 16):
                    content += part
                    if len(content) > most:
                        raise _refused(url, f"the media of one request have at most {LARGEST >> 20} MB together")
        except TimeoutError:
            raise _refused(url, f"it did not arrive within {WITHIN:.0f} seconds") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _refused(url, _reason_of(error)) from None
        return bytes(content)

    def _session(self) -> aiohttp.ClientSession:
        headers = {"User-Agent": "aveo3", "Accept-Encoding": "identity"}
        return callback_address.session(WITHIN, private=self._private, headers=headers)


def _is_elsewhere(medium: Media) -> bool:
    return medium.uri is not None and medium.uri.startswith("https://") and not medium.uri.startswith(AT_GOOGLE)


def _reason_of(error: Exception) -> str:
    """What its caller may know: nothing of what the server found behind the name."""
    if isinstance(error, OSError) and error.errno == errno.EACCES:
        return "it leads to a private address"
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
        return "its certificate cannot be trusted"
    return "nothing answers there" if isinstance(error, aiohttp.ClientConnectorError) else "the answer broke off"


def _refused(url: str, why: str) -> Refused:
    return invalid(f"{url.partition('?')[0][:200]} cannot be fetched: {why}.")
