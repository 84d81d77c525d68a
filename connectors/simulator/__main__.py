"""Start the simulator: `python -m connectors.simulator --port 8001 --data DIR`."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading

from connectors.simulator.server import serve
from connectors.simulator.stream import SECONDS, SIGNALS
from connectors.simulator.telling import TELLERS, Teller
from connectors.simulator.traffic import Target, Traffic

SECRETS = {"--secret", "--hook-secret", "--token"}


def bound(argv: list[str]) -> list[str]:
    """Tie a secret to its option: one that starts with a dash would pass for an option itself."""
    words = iter(argv)
    return [f"{word}={next(words, '')}" if word in SECRETS else word for word in words]


def told(text: str) -> str:
    """Check one word of ``--tell``. Raises ``argparse.ArgumentTypeError`` where no system of that name tells."""
    if text.partition("=")[0] not in TELLERS:
        raise argparse.ArgumentTypeError(f"nothing tells of {text}; known are {', '.join(TELLERS)}")
    return text


def hooks(words: list[str]) -> dict[str, str]:
    """Read which connection of the console each system tells."""
    return {name: hook or name for name, _, hook in (word.partition("=") for word in words)}


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m connectors.simulator", description=__doc__)
    parser.add_argument("--port", type=int, default=8001, help="port to serve on (0: any free one)")
    parser.add_argument("--host", default="127.0.0.1", help="address to serve on")
    parser.add_argument("--data", required=True, help="folder of the simulator's database")
    parser.add_argument("--seed", type=int, default=7, help="seed of the business and its stream")
    parser.add_argument("--business", choices=("demo", "empty"), default="demo", help="what to plant on first start")
    parser.add_argument("--secret", default="simulator", help="client secret of both systems")
    parser.add_argument("--target", help="address of the console that the stream goes to")
    parser.add_argument("--hook-secret", default="", help="secret of the console's F&O hook")
    parser.add_argument("--token", default="", help="API token for the integrators' CloudEvents")
    parser.add_argument("--stream", type=int, default=SIGNALS, help="least number of signals (0: no stream)")
    parser.add_argument(
        "--tell", nargs="*", type=told, default=[], metavar="SYSTEM[=HOOK]",
        help=f"which systems tell the console, by the hook of their name or another one: {', '.join(TELLERS)}",
    )  # fmt: skip
    parser.add_argument(
        "--mail", nargs=2, type=int, metavar=("IMAP", "SMTP"), help="serve mail on these ports (0: any free one)"
    )
    parser.add_argument("--stream-seconds", type=float, default=SECONDS, help="how long the stream takes")
    parser.add_argument("--attached", action="store_true", help="end at once when standard input is closed")
    return parser.parse_args(bound(sys.argv[1:] if argv is None else argv))


def end_with_starter() -> None:
    """End when standard input is closed: whoever started us is gone, killed perhaps. What is committed stays."""
    # Read from the bare file: at the end of the process nobody may wait for a lock of the buffered one.
    while os.read(0, 4096):
        pass
    os._exit(0)


def main(argv: list[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C."""
    options = arguments(argv)
    logging.basicConfig(level=logging.INFO, format="simulator: %(message)s")
    if options.attached:
        threading.Thread(target=end_with_starter, name="starter", daemon=True).start()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    try:
        simulator = serve(
            options.data,
            options.port,
            options.seed,
            options.business,
            host=options.host,
            secret=options.secret,
            mail=tuple(options.mail) if options.mail else None,
        )
    except OSError as error:
        wanted = f"{options.host}:{options.port}" + (f", mail on {options.mail}" if options.mail else "")
        print(f"simulator: cannot serve on {wanted}: {error}", file=sys.stderr)
        return 1
    traffic = None
    if options.target and options.hook_secret and options.token:
        target = Target(options.target, options.hook_secret, options.token)
        traffic = Traffic(simulator.store, target, signals=options.stream, seconds=options.stream_seconds)
        traffic.start()
    teller = None
    if options.target and options.hook_secret and options.tell:
        target = Target(options.target, options.hook_secret, options.token)
        teller = Teller(simulator.store, target, hooks(options.tell))
        teller.start()
    print(f"simulator {simulator.url}", flush=True)
    ended.wait()
    if traffic is not None:
        traffic.stop()
        traffic.join(timeout=15)
    if teller is not None:
        teller.stop()
        teller.join(timeout=15)
    simulator.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
