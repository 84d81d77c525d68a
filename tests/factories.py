"""People and tokens for every test; each app's own rows have theirs in tests/<app>/factories.py."""

from collections.abc import Sequence

from django.contrib.auth.models import User

from audit.models import ApiToken
from audit.people import Profile, issue_token, put_user


def make_user(
    username: str = "",
    *,
    role: str | Sequence[str] = "viewer",
    units: Sequence[str] = ("*",),
    regions: Sequence[str] = ("*",),
    superuser: bool = False,
    password: str | None = None,
) -> User:
    """A person with a role (or several, or ``""`` for none) who works for ``units`` and ``regions``."""
    roles = [role] if isinstance(role, str) else list(role)
    profile = Profile(
        username=username or roles[0] or "nobody",
        roles=[name for name in roles if name],
        business_units=units,
        regions=regions,
        email=f"{username or roles[0] or 'nobody'}@goldseam.example",
        superuser=superuser,
        password=password,
    )
    put_user(profile, actor="system:test")
    # As a request would load it: without what building it has cached.
    return User.objects.get(username=profile.username)


def make_token(user: User, *, name: str = "test", scopes: Sequence[str] = (), days: int | None = None) -> str:
    """The text of a fresh token of ``user``."""
    return issue_token(user, name=name, actor="system:test", scopes=scopes, days=days)[1]


def token_row(text: str) -> ApiToken:
    """The row of a token whose text is known."""
    from audit.tokens import digest_of

    return ApiToken.objects.get(digest=digest_of(text))
