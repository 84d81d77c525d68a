"""The embedded shape: web server, Celery worker and beat in one process, for a laptop or a small site.

Messages live in this process's memory and vanish with it. That loses nothing: rows are the queue, a
message is only a bell, and the sweep rings again for every row that is due.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any

import waitress
from celery.beat import Service
from celery.worker import WorkController
from django.conf import settings

from config.celery import app
from config.wsgi import application

logger = logging.getLogger(__name__)


class Embedded:
    """Serves pages, works on tasks and keeps the schedule until it is stopped."""

    def __init__(self, host: str, port: int) -> None:
        self.server = waitress.create_server(
            application,
            host=host,
            port=port,
            threads=settings.WEB_THREADS,
            ident="goldseam",
            # Event logs come as files, and go to disk beyond half a megabyte; every other body Django limits itself.
            max_request_body_size=max(settings.DATA_UPLOAD_MAX_MEMORY_SIZE, settings.INSIGHTS_MAX_UPLOAD_MB << 20)
            + 65_536,
            channel_timeout=60,
        )
        self.worker: Any = WorkController(
            app=app,
            pool_cls="threads",
            concurrency=settings.WORKER_THREADS,
            queues=list(settings.QUEUES),
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
        )
        self.beat: Any = Service(app, max_interval=5, scheduler_cls=settings.CELERY_BEAT_SCHEDULER)
        self._threads = [
            threading.Thread(target=self._guarded, args=("worker", self.worker.start), name="worker", daemon=True),
            threading.Thread(target=self._guarded, args=("beat", self.beat.start), name="beat", daemon=True),
        ]

    def start(self) -> None:
        """Start worker and beat; pages are served by ``serve``."""
        for thread in self._threads:
            thread.start()

    def serve(self) -> None:
        """Answer requests until ``stop`` is called from another thread or a signal handler."""
        try:
            self.server.run()
        except OSError:
            # stop() closes the listening socket under the loop's feet: that is how it ends.
            logger.debug("the listening socket was closed", exc_info=True)

    def stop(self) -> None:
        """Close the server, end beat, let running tasks finish."""
        self.server.close()
        self.beat.stop(wait=False)
        self.worker.stop()
        for thread in self._threads:
            thread.join(timeout=10)

    @staticmethod
    def _guarded(name: str, run: Callable[[], object]) -> None:
        try:
            run()
        except Exception:
            logger.exception("the embedded %s stopped", name)
            raise
