"""What aveo3 ships for tests: a loop whose time jumps, and a backend that answers from a script."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable

import pytest

from aveo3 import VideoPrompt, verdicts
from aveo3.backends.base import Failure, Finished, OperationGone, Running
from aveo3.testing import ScriptedBackend, VirtualTimeLoop, run_virtual
from aveo3.verdicts import Verdict, VerdictKind

PAPER_BOAT = VideoPrompt(text="a paper boat")


def now() -> float:
    return asyncio.get_running_loop().time()


# ---- the clock -----------------------------------------------------------------------------------------------------


def test_a_year_of_sleep_costs_no_real_time() -> None:
    async def main() -> float:
        await asyncio.sleep(365 * 24 * 3600)
        return now()

    began = time.monotonic()
    assert run_virtual(main()) == 365 * 24 * 3600
    assert time.monotonic() - began < 3600


def test_time_begins_at_zero_and_moves_only_when_nobody_can_run() -> None:
    async def main() -> list[float]:
        seen = [now()]
        for _ in range(1_000):
            await asyncio.sleep(0)
        seen.append(now())
        return seen

    assert run_virtual(main()) == [0.0, 0.0]


def test_timers_fire_in_order_each_at_its_instant() -> None:
    async def main() -> list[tuple[str, float]]:
        fired: list[tuple[str, float]] = []

        async def at(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            fired.append((name, now()))

        async with asyncio.TaskGroup() as group:
            for name, seconds in (("c", 30.0), ("a", 0.1), ("d", 86_401.0), ("b", 7.25)):
                group.create_task(at(name, seconds))
        return fired

    assert run_virtual(main()) == [("a", 0.1), ("b", 7.25), ("c", 30.0), ("d", 86_401.0)]


def test_a_long_chain_of_sleeps_adds_up() -> None:
    async def main() -> float:
        for _ in range(10_000):
            await asyncio.sleep(0.1)
        return now()

    assert run_virtual(main()) == pytest.approx(1_000.0, rel=1e-9)


def test_timeouts_obey_virtual_time() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(90):
                await asyncio.Event().wait()
        assert now() == 90.0
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 10)
        return now()

    assert run_virtual(main()) == 100.0


def test_a_timeout_that_is_not_reached_does_not_move_time() -> None:
    async def main() -> float:
        async with asyncio.timeout(3600):
            await asyncio.sleep(1)
        return now()

    assert run_virtual(main()) == 1.0


def test_a_thread_at_work_freezes_time() -> None:
    """A timer that is due in a moment must not fire while a thread is at work, however long that takes."""
    gate = threading.Event()

    async def main() -> tuple[bool, float]:
        working = asyncio.create_task(asyncio.to_thread(gate.wait, 30))
        timer = asyncio.create_task(asyncio.sleep(0.001))
        threading.Timer(0.05, gate.set).start()
        done, _ = await asyncio.wait({working, timer}, return_when=asyncio.FIRST_COMPLETED)
        first = working in done and timer not in done
        at = now()
        await timer
        return first, at

    assert run_virtual(main()) == (True, 0.0)


def test_threads_of_several_tasks_all_freeze_time() -> None:
    async def main() -> float:
        async with asyncio.TaskGroup() as group:
            for n in range(8):
                group.create_task(asyncio.to_thread(time.sleep, n / 1_000))
            group.create_task(asyncio.sleep(0))
        return now()

    assert run_virtual(main()) == 0.0


def test_time_moves_again_after_a_thread() -> None:
    async def main() -> float:
        await asyncio.to_thread(lambda: None)
        await asyncio.sleep(60)
        return now()

    assert run_virtual(main()) == 60.0


def test_ending_while_an_abandoned_thread_still_works_waits_for_it_without_warning() -> None:
    """Python 3.12 and later join the threads within 300 s: of virtual time, that would be at once."""
    working, finished = threading.Event(), threading.Event()

    def work() -> None:
        working.set()
        time.sleep(0.05)
        finished.set()

    async def main() -> None:
        task = asyncio.create_task(asyncio.to_thread(work))
        await asyncio.to_thread(working.wait)
        task.cancel()

    run_virtual(main())
    assert finished.is_set()


def test_joining_threads_has_no_deadline_that_could_jump_past() -> None:
    release = threading.Event()

    async def main() -> float:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        task = asyncio.create_task(asyncio.to_thread(release.wait, 30))
        await asyncio.sleep(0)
        task.cancel()
        threading.Timer(0.05, release.set).start()
        await loop.shutdown_default_executor(300)  # as asyncio.Runner does from 3.12 on
        return now()

    assert run_virtual(main()) == 0.0


def test_sockets_work_against_a_server_in_the_same_loop() -> None:
    async def main() -> tuple[bytes, float]:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write((await reader.readline()).upper())
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"a paper boat\n")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        await asyncio.sleep(3600)  # jumps with connections about, too
        server.close()
        await server.wait_closed()
        return answer, now()

    answer, at = run_virtual(main())
    assert answer == b"A PAPER BOAT\n"
    assert at >= 3600


def test_an_exception_comes_out_of_run_virtual() -> None:
    async def main() -> None:
        await asyncio.sleep(5)
        raise LookupError("lost")

    with pytest.raises(LookupError, match="lost"):
        run_virtual(main())


def test_the_loop_goes_into_a_runner_of_ones_own() -> None:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(asyncio.sleep(10))
        assert runner.get_loop().time() == 10.0


# ---- the backend ---------------------------------------------------------------------------------------------------


def scripted(test: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(1e6):
            await test()

    run_virtual(main())


def test_without_a_script_every_submit_is_accepted_and_ends_with_one_video() -> None:
    async def main() -> None:
        backend = ScriptedBackend(latency=7.0, round_trip=0.5)
        verdict = await backend.submit(PAPER_BOAT, "a-model")
        assert (verdict.kind, now()) == (VerdictKind.ACCEPTED, 0.5)
        assert verdict.operation is not None
        await asyncio.sleep(6.9)
        assert await backend.poll(verdict.operation) == Running()
        await asyncio.sleep(0.1)
        ending = await backend.poll(verdict.operation)
        assert isinstance(ending, Finished)
        assert [video.uri for video in ending.videos] == ["gs://scripted/film.mp4"]
        assert backend.polls == 2

    scripted(main)


def test_the_script_is_played_in_order_and_then_gives_way_to_the_answer_for_all_others() -> None:
    async def busy(prompt: VideoPrompt) -> Verdict:
        await asyncio.sleep(3)
        return verdicts.unsent(prompt.text)

    async def main() -> None:
        backend = ScriptedBackend(
            [verdicts.uncertain("lost"), lambda prompt: verdicts.rejected(prompt.text), busy],
            answer=lambda _: verdicts.accepted("operations/late"),
        )
        got = [await backend.submit(PAPER_BOAT, "m") for _ in range(5)]
        assert [(v.kind.value, v.message) for v in got[:3]] == [
            ("uncertain", "lost"),
            ("rejected", "a paper boat"),
            ("unavailable", "nothing was sent: a paper boat"),
        ]
        assert [v.operation for v in got[3:]] == ["operations/late"] * 2
        assert [at for at, _ in backend.submits] == [0, 0, 0, 3, 3]

    scripted(main)


def test_submits_and_acceptances_are_on_the_books() -> None:
    async def main() -> None:
        backend = ScriptedBackend([verdicts.uncertain("lost")])
        for text in ("a", "b", "b"):
            await backend.submit(VideoPrompt(text=text), "m")
            await asyncio.sleep(1)
        assert backend.submits == [(0.0, "a"), (1.0, "b"), (2.0, "b")]
        assert backend.accepted == {"b": 2}

    scripted(main)


def test_operations_have_names_of_their_own_even_when_submits_overlap() -> None:
    async def main() -> None:
        backend = ScriptedBackend(round_trip=1.0)
        got = await asyncio.gather(*(backend.submit(PAPER_BOAT, "m") for _ in range(20)))
        assert len({verdict.operation for verdict in got}) == 20

    scripted(main)


def test_latency_and_ending_may_depend_on_the_prompt() -> None:
    async def main() -> None:
        backend = ScriptedBackend(
            latency=lambda prompt: float(prompt.text),
            ending=lambda prompt: Failure(13, prompt.text),
        )
        quick, slow = [await backend.submit(VideoPrompt(text=text), "m") for text in ("1", "100")]
        await asyncio.sleep(1)
        assert await backend.poll(quick.operation or "") == Failure(13, "1")
        assert await backend.poll(slow.operation or "") == Running()

    scripted(main)


def test_an_ended_operation_is_forgotten_and_an_unknown_one_is_gone() -> None:
    async def main() -> None:
        backend = ScriptedBackend(latency=0.0)
        operation = (await backend.submit(PAPER_BOAT, "m")).operation or ""
        assert isinstance(await backend.poll(operation), Finished)
        for name in (operation, "operations/never"):
            with pytest.raises(OperationGone, match=name):
                await backend.poll(name)

    scripted(main)


def test_it_asks_for_no_headers_and_closes_quietly() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        assert await backend.locate("https://example.org/film.mp4") == ("https://example.org/film.mp4", {})
        assert await backend.locate("gs://bucket/film.mp4") is None
        assert await backend.find("gs://bucket/") == ()
        assert (await backend.check("any-model")).status == 200
        await backend.aclose()

    scripted(main)
