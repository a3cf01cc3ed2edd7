"""The agents' budget: what is left of it, and which orders it and the person allow."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from aveo3.config.settings import Settings
from aveo3.integrations.quotes import Refused
from aveo3.journal.journal import Journal
from aveo3.journal.rows import JobRecord
from aveo3.lifecycle import is_emulated
from aveo3.mcp_server import spending
from aveo3.mcp_server.views import Money


class Till:
    """The budget of `settings`. `journal` opens the journal to be read, `busy` tells whether a job is worked on."""

    def __init__(
        self,
        settings: Settings,
        service: str,
        journal: Callable[[], AbstractContextManager[Journal | None]],
        busy: Callable[[Journal], Callable[[JobRecord], bool]],
    ) -> None:
        self.settings, self._service = settings, service
        self._journal, self._busy = journal, busy
        self.committed_usd: dict[str, float] = {}
        """US$ of orders under way whose jobs are not in the journal yet, by the `id` of their prompts."""

    def money(self) -> Money:
        """The budget, and what is left of it."""
        with self._journal() as journal:
            spent = spending.Spent()
            if journal is not None:
                spent = spending.spent(journal, self._service, self._busy(journal))
            before = 0.0 if journal is None or is_emulated(self._service) else journal.spent(self._service)
        committed = sum(self.committed_usd.values())
        budget, own = self.settings.mcp_budget, self.settings.budget
        left = 0.0 if budget is None else budget - spent.usd - committed
        note = _NO_BUDGET if budget is None else ""
        if own is not None and own - before - committed < left:
            left, note = own - before - committed, f"VEO3_BUDGET={own:g} leaves less than the budget of agents."
        return Money(
            budget_usd=budget,
            spent_usd=round(spent.usd + committed, 4),
            left_usd=round(max(left, 0.0), 4),
            ask_above_usd=self.settings.mcp_ask_above,
            unasked_usd=round(spent.unasked_usd + committed, 4),
            note=note,
        )

    def needs_person(self, cost_usd: float, money: Money | None = None) -> bool:
        """Whether a person must agree to an order of this price."""
        above = self.settings.mcp_ask_above
        if above is None or cost_usd <= 0:
            return False
        unasked = (money or self.money()).unasked_usd
        return unasked + cost_usd > above + spending.ROUNDING

    def check(self, cost_usd: float, what: str, agreed_usd: float | None) -> None:
        """Raise `Refused` for an order of this price that the budget or a person does not allow.

        `agreed_usd`: what a person has agreed to; None: nobody was asked, or nobody agreed.
        """
        if cost_usd <= 0:
            return
        money = self.money()
        if money.budget_usd is None:
            raise Refused(f"nothing was sent: {_NO_BUDGET}")
        if cost_usd > money.left_usd + spending.ROUNDING:
            raise Refused(
                f"nothing was sent: {what} would cost US$ {cost_usd:.2f} at list price, and US$ {money.left_usd:.2f} "
                f"of the budget of US$ {money.budget_usd:.2f} are left. No tool can raise the budget. Order fewer or "
                "shorter clips, or tell the person that the budget is used up. "
                f"{money.note or 'They can raise VEO3_MCP_BUDGET and start this server again.'}"
            )
        if self.needs_person(cost_usd, money) and (agreed_usd is None or cost_usd > agreed_usd + _SHOWN):
            raise Refused(
                f"nothing was sent: {what} would cost US$ {cost_usd:.2f}, US$ {money.unasked_usd:.2f} were ordered "
                f"since a person last agreed, and above US$ {money.ask_above_usd:g} a person must agree. Your client "
                "did not ask them, or they did not agree. They can raise VEO3_MCP_ASK_ABOVE and start this server "
                "again, or make the clips themselves with aveo3 generate."
            )

    def check_budget(self) -> None:
        """Raise `Refused` if there is none."""
        if self.settings.mcp_budget is None:
            raise Refused(f"nothing was sent: {_NO_BUDGET}")

    def limit(self, journal: Journal, before_usd: float) -> float:
        """The limit of a client that opens now: whatever was estimated, it submits nothing above that.

        `before_usd` is what the client counts as spent by earlier runs.
        """
        spent, emulated = spending.spent(journal, self._service, lambda _: False), is_emulated(self._service)
        gone = spent.billed_usd if emulated else spent.usd
        limit = max((self.settings.mcp_budget or 0.0) - gone, 0.0) + before_usd
        own = self.settings.budget
        return limit if own is None or emulated else min(limit, own)


_SHOWN = 1e-4
"""US$ to which a price is rounded where people see it."""

_NO_BUDGET = (
    "there is no budget for agents. A person sets it, in US$: VEO3_MCP_BUDGET=10 in the environment of this server, or "
    "aveo3 mcp --budget 10. Then start the server again. No tool can set it."
)
