"""Where a system begins: an address that paths are appended to."""

from typing import Annotated

from pydantic import AfterValidator, StringConstraints


def _without_slash(value: str) -> str:
    return value.rstrip("/")


# With a trailing slash a token would be for another audience, and appended paths would have two.
WithoutSlash = AfterValidator(_without_slash)
Root = Annotated[str, StringConstraints(pattern=r"^https?://\S+$"), WithoutSlash]
