"""Who uses the door: named callers with a key each, and what they may do. The keys themselves are never kept."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated

from filelock import FileLock, Timeout
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from aveo3.config.settings import JOURNAL
from aveo3.errors import UsageError
from aveo3.files.directories import make_directory
from aveo3.files.syncing import sync_directory, sync_file
from aveo3.input_forms import model_id, plain_reason
from aveo3.journal.journal import Journal
from aveo3.journal.place import Place
from aveo3.models import Labels

log = logging.getLogger(__name__)

FILE = JOURNAL.with_name("callers.json")
"""Where the callers of an output directory are."""

PREFIX = "aveo3_"
"""What each key begins with, so that a scanner for leaked keys finds it."""

LOCK_PATIENCE = 5.0
"""Seconds to wait while another program changes the file."""


class Caller(BaseModel):
    """One who sends requests. Nobody sees another's requests, files or figures."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
    kept_as: str | None = None
    """What the journal calls it if an earlier caller had its name; see `account`."""
    key_sha256: str = Field(default="", repr=False)
    weight: float = Field(default=1.0, gt=0, le=1000, allow_inf_nan=False)
    """Its share of the quota is this, divided by the weights of all who have something waiting."""
    day_budget: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """US$ that the requests of one day may cost. Days begin at midnight in Los Angeles, as at Google."""
    total_budget: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """US$ that all of its requests may cost."""
    models: tuple[Annotated[str, BeforeValidator(model_id)], ...] = ()
    """The models that it may use; none for all."""
    max_queued: int | None = Field(default=None, ge=1)
    """How many of its requests may wait; None for any number."""
    labels: Labels = Field(default_factory=dict)
    """Labels for Google's bill that each of its requests gets."""
    operator: bool = False
    """It sends no requests, and sees the figures of all callers."""
    steers: bool = False
    """An operator that may also pause, and cancel what waits, through the page."""
    callback: str | None = None
    """The address that is told when one of its requests has ended; a request may name another."""
    callback_secret: str = Field(default="", repr=False)
    """Signs what is sent there. It must be kept as it is, unlike the key, or nothing could be signed with it."""
    created_utc: datetime | None = None

    @property
    def account(self) -> str:
        """Under what its requests and money are kept: no other caller has it, whoever had the same name before."""
        return self.kept_as or self.name

    @property
    def is_operator(self) -> bool:
        """True if it may see the figures of all callers; without keys, everybody may."""
        return self.operator or self is LOCAL


LOCAL = Caller(name="local")
"""Whoever reaches a door without keys."""


class _Content(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: int = Field(default=1, le=1)
    callers: list[Caller] = []
    removed: list[str] = []
    """The accounts of callers that were removed: nobody gets them by chance."""


class CallerFile:
    """The callers of an output directory, in a file that only its owner may read. All of it blocks."""

    def __init__(self, output_dir: Path, journal: Place | None = None) -> None:
        """`journal` is the one of the directory, unless it is at its usual place."""
        self.path = output_dir / FILE
        self._journal: Place = journal or output_dir / JOURNAL

    def read(self) -> dict[str, Caller]:
        """The callers by name; none if there is no file. Raises `UsageError` if the file cannot be used."""
        return {caller.name: caller for caller in self._content().callers}

    def _content(self) -> _Content:
        try:
            return _Content.model_validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return _Content()
        except OSError as error:
            raise UsageError(f"{self.path} cannot be read: {error.strerror}.") from error
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, problem["loc"]))
            raise UsageError(
                f"{self.path} is no file of callers: {where}: {plain_reason(problem)}. Mend it, or remove it and add "
                "the callers again with `aveo3 serve keys add`."
            ) from None

    def add(self, caller: Caller, *, take_over: bool = False) -> str:
        """Add `caller` and return its new key, which is not kept. Raises `UsageError` if the name is taken.

        It gets an account of its own, or with `take_over` that of the last caller of its name. Raises `JournalError` if
        the journal, which has the accounts, cannot be read.
        """
        key = PREFIX + secrets.token_urlsafe(32)

        def change(callers: dict[str, Caller], removed: list[str]) -> None:
            name = caller.name
            if name in callers:
                raise UsageError(
                    f"{name} has a key already: remove it first (aveo3 serve keys remove {name}), then add it with "
                    "--take-over to let its requests, files and budgets stay its own."
                )
            with_requests = _of_name(self._accounts(), name)
            earlier = [*_of_name(removed, name), *with_requests]
            if take_over and not earlier:
                raise UsageError(f"--take-over: no caller was called {name} here before. Leave it out.")
            if take_over:
                account = max(with_requests or earlier, key=_generation)
            else:
                account = f"{name}~{max(map(_generation, earlier)) + 1}" if earlier else name
            kept_as = None if account == name else account
            callers[name] = caller.model_copy(update={"key_sha256": _hash(key), "kept_as": kept_as})

        self._change(change)
        return key

    def remove(self, name: str) -> None:
        """Remove a caller's key. Raises `UsageError` if there is no such caller."""

        def change(callers: dict[str, Caller], removed: list[str]) -> None:
            account = callers.pop(_known(name, callers).name).account
            if account not in removed:
                removed.append(account)

        self._change(change)

    def _accounts(self) -> list[str]:
        """The accounts that have requests in the journal."""
        if isinstance(self._journal, Path) and not self._journal.is_file():
            return []
        with Journal(self._journal, writes=False, checks=False) as journal:
            return [account for [account] in journal.read("SELECT DISTINCT caller FROM request_totals")]

    def renew_secret(self, name: str) -> str:
        """Give a caller a new secret for callbacks, and return it. Raises `UsageError` if there is no such caller."""
        secret = new_secret()

        def change(callers: dict[str, Caller], _: list[str]) -> None:
            callers[name] = _known(name, callers).model_copy(update={"callback_secret": secret})

        self._change(change)
        return secret

    def _change(self, change: Callable[[dict[str, Caller], list[str]], object]) -> None:
        try:
            make_directory(self.path.parent)
            with FileLock(f"{self.path}.lock", timeout=LOCK_PATIENCE):
                content = self._content()
                callers, removed = {caller.name: caller for caller in content.callers}, content.removed
                change(callers, removed)
                self._write(_Content(callers=[*callers.values()], removed=removed))
        except Timeout:
            raise UsageError(f"{self.path} is being changed by another program. Try again.") from None
        except OSError as error:
            raise UsageError(f"{self.path} cannot be written: {error.strerror}.") from error

    def _write(self, new: _Content) -> None:
        content = new.model_dump(mode="json", exclude_defaults=True)
        part = self.path.with_name(f"{self.path.name}.{secrets.token_hex(4)}.part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123
            file.write(json.dumps({"version": 1, **content}, indent=1).encode())
            file.flush()
            sync_file(file.fileno())
        part.replace(self.path)
        sync_directory(self.path.parent)


class Callers:
    """Recognizes callers by their keys, for as long as the server runs; what `aveo3 serve keys` changes counts at once.

    Without any key, everybody is `LOCAL`, if `open_without_keys`. From the first key on that never comes back.
    Raises `UsageError` if the file cannot be used.
    """

    def __init__(self, file: CallerFile, *, open_without_keys: bool) -> None:
        self._file = file
        self._open = open_without_keys
        self._seen: tuple[int, int] | None = None
        self._by_name: dict[str, Caller] = {}
        self._by_account: dict[str, Caller] = {}
        self._by_hash: dict[str, Caller] = {}
        self._load()

    @property
    def names(self) -> list[str]:
        """The callers that have a key."""
        self._reload()
        return [*self._by_name]

    @property
    def has_keys(self) -> bool:
        """True if a request must show who sends it."""
        self._reload()
        return not self._open

    def of(self, credential: str | None) -> Caller | None:
        """The caller with this key; None if there is none."""
        self._reload()
        if self._open:
            return LOCAL
        if credential is None:
            return None
        found = _hash(credential)
        caller = self._by_hash.get(found)
        return caller if caller is not None and hmac.compare_digest(caller.key_sha256, found) else None

    def with_account(self, account: str) -> Caller | None:
        """The caller with this account; None if it has no key any more."""
        self._reload()
        return self._by_account.get(account)

    def weight_of(self, account: str) -> float:
        """The weight of a caller; 1 for one whose key was removed."""
        return caller.weight if (caller := self._by_account.get(account)) is not None else 1.0

    def _reload(self) -> None:
        try:
            if self._stamp() != self._seen:
                self._load()
        except UsageError as error:  # those that are known stay
            log.error("%s", error)

    def _load(self) -> None:
        self._seen = self._stamp()
        self._by_name = self._file.read()
        self._by_account = {caller.account: caller for caller in self._by_name.values()}
        self._by_hash = {caller.key_sha256: caller for caller in self._by_name.values() if caller.key_sha256}
        if self._by_name:
            self._open = False

    def _stamp(self) -> tuple[int, int] | None:
        try:
            found = self._file.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino


def new_secret() -> str:
    """A new secret for signatures, as Standard Webhooks writes them."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def _of_name(accounts: Iterable[str], name: str) -> list[str]:
    return [account for account in accounts if account.partition("~")[0] == name]  # no name has a ~


def _generation(account: str) -> int:
    number = account.partition("~")[2]
    return int(number) if number.isdecimal() else 1


def _known(name: str, callers: Mapping[str, Caller]) -> Caller:
    if name not in callers:
        raise UsageError(f"no caller is called {name!r}: there are {', '.join(callers) or 'none'}.")
    return callers[name]


def _hash(key: str) -> str:
    """A key has 256 random bits: a plain SHA-256 of it cannot be turned back, nor its key guessed."""
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()
