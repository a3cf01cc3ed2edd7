"""A program: `python fifty.py RECIPE BASE_URL FILMS DIRECTORY` makes films at once by a recipe of the guide."""

from __future__ import annotations

import asyncio
import runpy
import sys
from pathlib import Path


async def main(recipe: str, url: str, films: int, directory: Path) -> None:
    names = runpy.run_path(recipe)
    client = names["connect"](url, "anything")

    async def one(number: int) -> None:
        film = await names["film"](client, f"order-{number}", f"boat {number}")
        (directory / f"{number}.mp4").write_bytes(film)

    await asyncio.gather(*map(one, range(films)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])))
