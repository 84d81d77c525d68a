"""How many changes one person or token may ask for, so that a runaway program cannot crowd out the rest."""

import time
from typing import Any

from django.conf import settings
from django.core.cache import cache
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle


class WriteThrottle(BaseThrottle):
    """Count the unsafe calls of each caller by the minute (``WRITES_PER_MINUTE``, in each process).

    One counter per caller and minute: unlike a list of times, it costs the same at any rate.
    """

    def __init__(self) -> None:
        self._wait = 0.0

    def allow_request(self, request: Request, view: Any) -> bool:
        """Tell whether this call still fits into the minute."""
        if request.method in SAFE_METHODS:
            return True
        now = time.time()
        key = f"writes:{self._caller(request)}:{int(now // 60)}"
        cache.add(key, 0, timeout=120)
        try:
            count = cache.incr(key)
        except ValueError:  # the counter was evicted in between
            return True
        self._wait = 60 - now % 60
        return bool(count <= settings.WRITES_PER_MINUTE)

    def wait(self) -> float:
        """Return the seconds until the next minute."""
        return self._wait

    def _caller(self, request: Request) -> str:
        token = getattr(request.auth, "pk", None)
        if token is not None:
            return f"token:{token}"
        return f"user:{request.user.pk}" if request.user.is_authenticated else f"address:{self.get_ident(request)}"
