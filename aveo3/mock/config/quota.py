"""A quota as a user writes it: project, key, location or model, and limits. `aveo3.mock.quotas` does the counting."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from aveo3.mock.config.validation import Strict, complaint, unlimited
from aveo3.mock.models import MODELS, OMNI

LIMITS = ("rpm", "rpd", "spend", "concurrency")
WHOM = ("project", "key", "location", "model")
SHAPE = (
    "Write it as project=alpha,model=veo-3.1-fast-*,rpm=2: any of project, key, location and model (* matches "
    "anything), then at least one of rpm, rpd, concurrency and spend (0: no access, none: no limit)."
)
_Unlimited = BeforeValidator(unlimited)


class Quota(Strict):
    """Limits for some projects, keys, locations or models. Each project (or key), location and model has its own
    counters.

    Limits that this quota does not name stay as they are for everybody. If several quotas match, the last one that
    names a limit decides that limit. So write the general quota first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    project: str | None = Field(default=None, description="Google Cloud projects of this name; * matches anything")
    key: str | None = Field(
        default=None, repr=False, description="API keys (or tokens, in express mode); * matches anything"
    )
    location: str | None = Field(default=None, description="locations such as us-central1; * matches anything")
    model: str | None = Field(default=None, description="model ids; * matches anything")
    rpm: Annotated[int | None, _Unlimited] = Field(default=None, ge=0, description="requests a minute")
    rpd: Annotated[int | None, _Unlimited] = Field(default=None, ge=0, description="requests a day")
    concurrency: Annotated[int | None, _Unlimited] = Field(default=None, ge=0, description="operations at once")
    spend: Annotated[float | None, _Unlimited] = Field(default=None, ge=0, description="US$ per `spend_period`")

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return _pairs(value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _says_something(self) -> "Quota":
        if not self.limits:
            raise ValueError(f"a quota needs a limit. {SHAPE}")
        if self.project is not None and self.key is not None:
            raise ValueError(f"a request has a project or a key, so a quota takes only one of them. {SHAPE}")
        ids = [*sorted({name for _, name in MODELS}), *sorted({name for _, name in OMNI})]
        if self.model is not None and not any(fnmatchcase(model_id, self.model) for model_id in ids):
            raise ValueError(f"model {self.model!r} matches no model. Known: {', '.join(ids)}; * matches anything.")
        return self

    @classmethod
    def parse(cls, text: str | Mapping[str, Any]) -> "Quota":
        """Parse "project=alpha,model=veo-3.1-fast-*,rpm=2", or a table. Raises ValueError with the allowed form."""
        try:
            return cls.model_validate(_pairs(text) if isinstance(text, str) else dict(text))
        except ValidationError as error:
            name, sentence = complaint(error, cls)
            raise ValueError(f"{name}: {sentence} {SHAPE}" if name else sentence) from None

    @property
    def limits(self) -> dict[str, float | None]:
        """The limits that this quota names. None means that the quota lifts the limit."""
        return {name: getattr(self, name) for name in LIMITS if name in self.model_fields_set}

    @property
    def whom(self) -> dict[str, str | None]:
        return {name: getattr(self, name) for name in WHOM}


def _pairs(text: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if name not in (*WHOM, *LIMITS):
            raise ValueError(f"a quota has no {name!r}. {SHAPE}")
        if not equals or not value:
            raise ValueError(f"a quota's {name} needs a value. {SHAPE}")
        if name in pairs:
            raise ValueError(f"a quota names {name} more than once. {SHAPE}")
        pairs[name] = value
    return pairs
