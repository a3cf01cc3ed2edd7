"""The Files API: states, descriptions, and resumed downloads."""

from __future__ import annotations

import base64
import hashlib

from aveo3.mock.state.films import bundled
from tests.support.interactions import KEY, film_path, talking, video


async def test_a_file_is_processed_for_a_while_after_its_interaction_has_completed() -> None:
    async with talking(processing="100", speed=1) as talk:
        done = await talk.done()
        path = film_path(done).partition(":")[0]
        assert done["status"] == "completed"
        file = (await talk.ask("GET", path)).body
        assert (file["state"], "sizeBytes" in file) == ("PROCESSING", False)
        early = await talk.ask("GET", film_path(done))
        assert (early.status, early.body["error"]["status"]) == (400, "FAILED_PRECONDITION")
        talk.server.emulator.operations.files[path.rpartition("/")[2]].operation.processing = 0
        file = (await talk.ask("GET", path)).body
        digest = base64.b64encode(hashlib.sha256(bundled()).hexdigest().encode()).decode()
        assert (file["state"], file["sizeBytes"], file["sha256Hash"]) == ("ACTIVE", str(len(bundled())), digest)
        assert file["downloadUri"] == video(done)["uri"]
        assert (await talk.ask("GET", film_path(done))).status == 200
        assert (await talk.ask("GET", path, headers={})).status == 403


async def test_a_download_can_be_resumed_as_long_as_it_is_the_same_file() -> None:
    async with talking() as talk:
        path = film_path(await talk.done())
        whole = await talk.ask("GET", path)
        part = {**KEY, "Range": "bytes=1000-"}
        resumed = await talk.ask("GET", path, headers={**part, "If-Range": whole.headers["ETag"]})
        assert (resumed.status, resumed.body) == (206, bundled()[1000:])
        another = await talk.ask("GET", path, headers={**part, "If-Range": '"another"'})
        assert (another.status, another.body) == (200, bundled())
