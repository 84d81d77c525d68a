"""A signal in the one form that every channel is brought into before it is taken in."""

import re
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationInfo,
    model_validator,
)

from audit.proofs import canonical

MAX_JSON = 200_000
# What a reader gives as the context of validation whose text no broken letter can stand in: there is none to look for.
UNBROKEN = {"unbroken": True}
_BROKEN = re.compile("[\x00\ud800-\udfff]")


def clean(value: Any) -> Any:
    """Return ``value`` without what one database would take and the other refuse: NUL and half characters."""
    # Python writes both as escapes: where neither stands in its text, there is no need to walk.
    text = repr(value)
    return _cleaned(value) if "\\x00" in text or "\\ud" in text else value


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return _BROKEN.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_cleaned(name): _cleaned(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(part) for part in value]
    return value


def _money(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    return Decimal(repr(value)) if isinstance(value, float) else value


def _cents(value: Decimal | None) -> Decimal | None:
    return None if value is None else value.quantize(Decimal("0.01"), ROUND_HALF_UP)


_Sum = Annotated[Decimal, Field(gt=Decimal("-1e15"), lt=Decimal("1e15"), allow_inf_nan=False)]
Amount = Annotated[_Sum | None, BeforeValidator(_money), AfterValidator(_cents)]


class NormalSignal(BaseModel):
    """What any channel's message comes to: who says it, when, which kind of exception, about which business entity."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    source: str = Field(min_length=1, max_length=300)
    id: str = Field(min_length=1, max_length=300)
    time: AwareDatetime
    type: str = Field(default="", max_length=200)
    channel: str = Field(default="api", max_length=20)
    code: str = Field(min_length=1, max_length=60)
    entity_type: str = Field(min_length=1, max_length=60)
    entity_key: str = Field(max_length=200)
    attributes: dict[str, Any] = {}
    amount: Amount = None
    currency: str = Field(default="", pattern=r"^([A-Z]{3})?$")
    business_unit: str = Field(default="", max_length=40)
    region: str = Field(default="", max_length=40)
    text: str = Field(default="", max_length=50_000)
    raw: dict[Any, Any] = {}  # as it came: not even the names in it are trimmed
    delivery_id: int | None = None

    _texts: dict[str, str] = PrivateAttr(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _without_broken_letters(cls, given: Any, info: ValidationInfo) -> Any:
        return clean(given) if isinstance(given, dict) and info.context is not UNBROKEN else given

    @model_validator(mode="after")
    def _of_a_bearable_size(self) -> "NormalSignal":
        for name in ("attributes", "raw"):
            text = self._texts[name] = canonical(getattr(self, name))
            if len(text) > MAX_JSON:
                raise ValueError(f"{name} is larger than {MAX_JSON} characters")
        return self

    def text_of(self, name: str) -> str:
        """Return ``attributes`` or ``raw`` as canonical JSON."""
        return self._texts[name]


def year_is_sane(value: datetime) -> bool:
    """Tell whether both databases can hold and compare this time."""
    return 1970 <= value.year <= 9000
