"""An hour of two machines that share one quota, with random kills, a freeze and a database that restarts: real
processes, and an emulator whose clock runs faster. The books show what was paid, and how long the lane was idle.

A machine is a directory, a port, and two processes: `aveo3 serve` and `aveo3 worker`. Programs put clips into both
doors with idempotency keys, and go to the other door while one does not answer.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from benchmarks.farm import checker
from benchmarks.farm.aveo3_farm import Aveo3Farm, environment
from benchmarks.farm.crew import Crew, Worker
from benchmarks.farm.plan import Plan
from benchmarks.farm.runner import UNENDED
from benchmarks.farm.takeovers import LEASE
from benchmarks.harness.emulator import EmulatorProcess
from benchmarks.harness.environment import forget_the_environment
from benchmarks.harness.postgres_server import PostgresServer
from benchmarks.rivals import MODEL

SPEED = 60
"""Emulator seconds per second: an hour lasts a minute."""

WAITING = 100
"""Clips that the programs have put into the doors before anything happens: there is always work."""

KILL, FREEZE, RESTART = "kill", "freeze", "restart"


@dataclass(frozen=True)
class Strike:
    """What happened to whom, and when. A freeze and a restart have an end."""

    kind: str
    at: float
    process: int
    what: str
    led: bool
    until: float

    def __str__(self) -> str:
        lasted = f" for {self.until - self.at:.1f} s" if self.until > self.at else ""
        return f"{self.kind} of {self.what}{' (leads)' if self.led else ''}{lasted}"


@dataclass(frozen=True)
class Outcome:
    """What the books, the journal and the directory of the videos say in the end."""

    seed: int
    clips: int
    seconds: float
    strikes: tuple[Strike, ...]
    requests: tuple[checker.Request, ...]
    paid_twice: Mapping[str, int]
    without_intent: int
    two_leaders: tuple[checker.TwoLeaders, ...]
    refused: int
    states: Mapping[str, int]
    uncertain: tuple[str, ...]
    """The prompts of the clips whose answer was lost."""
    films: int
    idle: tuple[checker.Idle, ...]

    def unexplained(self) -> list[str]:
        """The uncertain clips that no process was about to send when it was struck."""
        sent_at = {request.prompt: request.at for request in self.requests if request.accepted}
        ends = [(strike.at - 1.0, strike.until + 1.0) for strike in self.strikes]
        return [
            prompt
            for prompt in self.uncertain
            if prompt in sent_at and not any(begin <= sent_at[prompt] <= end for begin, end in ends)
        ]

    def too_idle(self, most: float) -> list[checker.Idle]:
        """The times in which the lane was idle for more than `most` seconds; around a freeze, for more than a lease."""
        freezes = [strike for strike in self.strikes if strike.kind == FREEZE]

        def allowed(idle: checker.Idle) -> float:
            frozen = any(strike.at <= idle.end and idle.begin <= strike.until for strike in freezes)
            return LEASE + 1.0 if frozen else most

        return [idle for idle in self.idle if idle.seconds > allowed(idle)]

    def __str__(self) -> str:
        struck = "\n".join(f"  {strike.at - self.requests[0].at:6.1f} s  {strike}" for strike in self.strikes)
        longest = ", ".join(f"{idle.seconds:.2f}" for idle in self.idle[:5])
        states = ", ".join(f"{count} {state}" for state, count in sorted(self.states.items()))
        return (
            f"seed {self.seed}: {self.clips} clips in {self.seconds:.0f} s; {states}; "
            f"{len(self.paid_twice)} paid twice; {self.refused} refused; {self.without_intent} without intent; "
            f"{len(self.two_leaders)} by a second leader; longest idle {longest} s\n{struck}"
        )


@dataclass
class Chaos:
    """The hour, by its seed."""

    seed: int
    clips: int = 430
    kills: int = 6
    plan: Plan = field(init=False)

    def __post_init__(self) -> None:
        self.plan = Plan(clips=self.clips, limit=10, period=60 / SPEED, latency=70)
        self._rng = random.Random(self.seed)
        self._strikes: list[Strike] = []

    async def run(self) -> Outcome:
        """Let it happen."""
        options = {**self.plan.mock_options, "period": 60, "speed": SPEED, "latency": "lognormal:70,0.35"}
        async with EmulatorProcess() as emulator:
            url = await emulator.start({**options, "rtt": "0.6-2", "seed": self.seed})
            with tempfile.TemporaryDirectory(prefix="farm-") as name, PostgresServer(fsync=True) as server:
                farm, began = await self._hour(Path(name), server, emulator, url)
                seconds = time.time() - began
                states, intents = await farm.states(), await farm.intents()
                uncertain = await farm.prompts_in("uncertain")
                films = sum(1 for film in (farm.place / "films").glob("**/*.mp4") if film.stat().st_size)
            books = await emulator.stop()
        requests = checker.requests_of(books)
        sent = len({request.prompt for request in requests if request.accepted})
        gone = [strike.process for strike in self._strikes if strike.kind == KILL]
        resets = [strike.at for strike in self._strikes if strike.kind == RESTART]
        period = self.plan.period
        return Outcome(
            seed=self.seed,
            clips=self.clips,
            seconds=seconds,
            strikes=tuple(self._strikes),
            requests=tuple(requests),
            paid_twice=checker.paid_twice(requests),
            without_intent=len(checker.without_intent(requests, intents)),
            two_leaders=tuple(checker.two_leaders(requests, gone, resets)),
            refused=books["refused"],
            states=states,
            uncertain=tuple(uncertain),
            films=films,
            idle=tuple(checker.idle(requests, self.plan.limit, period, clips=sent, began=requests[0].at)),
        )

    async def _hour(
        self, place: Path, server: PostgresServer, emulator: EmulatorProcess, url: str
    ) -> tuple[Aveo3Farm, float]:
        films = place / "films"
        films.mkdir()
        settings = environment(self.plan, url, films, server.create("farm"))
        farm = Aveo3Farm(self.plan, place, server, settings)
        doors, workers = [], []
        for number in range(2):
            machine = place / f"machine-{number}"
            machine.mkdir()
            doors.append(f"http://127.0.0.1:{(port := _free_port())}")
            serve = ("-m", "aveo3", "serve", "--port", str(port))
            workers.append(Worker(2 * number, serve, settings, machine))
            workers.append(Worker(2 * number + 1, ("-m", "aveo3", "worker"), settings, machine))
        async with Crew(workers, restart_after=1.0, ready=farm.is_ready) as crew:
            began = time.time()
            strikes = asyncio.create_task(self._strike(crew, emulator, server))
            try:
                async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http:
                    await asyncio.gather(*(self._program(http, doors, number) for number in range(2)))
                await strikes
                await self._until_ended(farm)
            finally:
                strikes.cancel()
                for worker in crew.workers:
                    if worker.frozen:
                        crew.wake(worker)
        return farm, began

    # ---- programs --------------------------------------------------------------------------------------------------

    async def _program(self, http: aiohttp.ClientSession, doors: list[str], number: int) -> None:
        """Put every second clip into a door: many at first, then a little faster than the quota lets them go."""
        pace = self.plan.period / self.plan.limit * 2 / 1.1
        for clip in range(number, self.clips, 2):
            await self._accept(http, doors, clip, first=(number + self._rng.randrange(2)) % 2)
            if clip > WAITING:
                await asyncio.sleep(pace)

    async def _accept(self, http: aiohttp.ClientSession, doors: list[str], clip: int, first: int) -> None:
        """Ask one door, then the other, with the same key, until one has accepted it."""
        body = {"instances": [{"prompt": self.plan.prompts[clip]}]}
        path = f"/v1/publishers/google/models/{MODEL}:predictLongRunning"
        headers = {"Idempotency-Key": f"clip {clip}", "x-goog-api-key": "key"}
        for attempt in range(600):
            try:
                async with http.post(doors[(first + attempt) % 2] + path, json=body, headers=headers) as answer:
                    if answer.status == 200:
                        return
                    if answer.status < 500:
                        raise RuntimeError(f"a door refuses: {answer.status} {await answer.text()}")
            except (aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(0.1)
        raise RuntimeError(f"no door has accepted clip {clip}")

    async def _until_ended(self, farm: Aveo3Farm) -> None:
        """Wait until every clip has ended."""
        async with asyncio.timeout(120):
            while True:
                states = await farm.states()
                if not states.keys() & UNENDED:
                    return
                await asyncio.sleep(0.2)

    # ---- what happens ------------------------------------------------------------------------------------------------

    async def _strike(self, crew: Crew, emulator: EmulatorProcess, server: PostgresServer) -> None:
        kinds = [KILL] * self.kills
        kinds.insert(self._rng.randrange(1, 3), FREEZE)
        kinds.insert(self._rng.randrange(2, len(kinds)), RESTART)
        for kind in kinds:
            await asyncio.sleep(self._rng.uniform(1.5, 3.0))
            for worker in crew.workers:
                await worker.is_ready.wait()
            if kind == RESTART:
                began = time.time()
                await asyncio.to_thread(server.restart, "immediate")
                self._note(RESTART, began, 0, "PostgreSQL", led=False)
                continue
            leader = crew.by_pid((await emulator.counts())["last"])
            # The leader, more often than its share.
            struck = leader if leader is not None and self._rng.random() < 0.6 else self._rng.choice(crew.workers)
            what, led, pid = " ".join(struck.arguments[1:3]), struck is leader, struck.pid
            if kind == KILL:
                self._note(KILL, crew.kill(struck), pid, what, led=led, until=0)
            else:
                began = crew.freeze(struck)
                await asyncio.sleep(LEASE + 3.0)
                crew.wake(struck)
                self._note(FREEZE, began, pid, what, led=led)

    def _note(self, kind: str, at: float, process: int, what: str, *, led: bool, until: float | None = None) -> None:
        end = time.time() if until is None else max(at, until)
        self._strikes.append(Strike(kind, at, process, what, led, end))


def _free_port() -> int:
    from tests.support.ports import free_port

    return free_port()


def main() -> None:
    """`python -m benchmarks.farm.chaos [SEED]`."""
    forget_the_environment()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else random.SystemRandom().randrange(10**6)
    print(asyncio.run(Chaos(seed).run()))


if __name__ == "__main__":
    main()
