"""Distributions of durations: fixed, uniform or lognormal, in emulator seconds."""

import math
import random
from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from aveo3.mock.config.validation import Strict

_WAY_OUT = "Write seconds (2), a range (30-90), or lognormal:MEDIAN,SIGMA (lognormal:70,0.35)."


class Latency(Strict):
    """A distribution of durations in emulator seconds. Equal seeds give equal draws."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    law: Literal["fixed", "uniform", "lognormal"]
    a: float = Field(ge=0, description="seconds: the value, the lower end, or the median")
    b: float = Field(default=0.0, ge=0, description="seconds: the upper end; for a lognormal sigma, which has no unit")

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return cls.parse(value).model_dump() if isinstance(value, str) else value

    @classmethod
    def parse(cls, text: str) -> "Latency":
        """Parse "2", "30-90" or "lognormal:70,0.35". Raises ValueError with the allowed forms."""
        try:
            if text.startswith("lognormal:"):
                median, sigma = (float(part) for part in text.removeprefix("lognormal:").split(","))
                latency = cls(law="lognormal", a=median, b=sigma)
                valid = median > 0
            elif "-" in text:
                low, high = (float(part) for part in text.split("-"))
                latency = cls(law="uniform", a=low, b=high)
                valid = low <= high
            else:
                latency = cls(law="fixed", a=float(text))
                valid = True
        except ValueError:
            valid = False
        if not valid or not math.isfinite(latency.a + latency.b):
            raise ValueError(f"latency {text!r} is not a distribution of durations. {_WAY_OUT}")
        return latency

    def draw(self, rng: random.Random) -> float:
        if self.law == "fixed":
            return self.a
        if self.law == "uniform":
            return rng.uniform(self.a, self.b)
        return rng.lognormvariate(math.log(self.a), self.b)

    def __str__(self) -> str:
        if self.law == "fixed":
            return f"{self.a:g}"
        return f"{self.a:g}-{self.b:g}" if self.law == "uniform" else f"lognormal:{self.a:g},{self.b:g}"
