"""Where a request really goes: every spelling of an inner address, and names that change their answer."""

import ipaddress
import socket
from typing import Any

import httpx
import httpx2
import pytest

from connectors import transport
from connectors.base import Blocked, Unreachable
from connectors.wire import addresses
from connectors.wire import model as modelwire

PUBLIC, INSIDE = "93.184.216.34", "10.0.0.5"


class Names:
    """A name server that answers something else each time."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    def __call__(self, host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        found = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        family = socket.AF_INET6 if ":" in found[0] else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]


class Pool(httpx.BaseTransport):
    """Stands where sockets are opened, and remembers where each would have gone."""

    def __init__(self, *, dead: tuple[str, ...] = ()) -> None:
        self.went: list[str] = []
        self.names: list[Any] = []
        self.dead = dead

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.went.append(request.url.host)
        self.names.append((request.headers["host"], request.extensions["sni_hostname"]))
        if request.url.host in self.dead:
            raise httpx.ConnectError("refused")
        return httpx.Response(200, content=b"{}")


def sent(pool: Pool, url: str = "https://erp.test/x") -> httpx.Response:
    checked = transport._Checked()
    checked._pools["erp.test"] = pool
    return checked.handle_request(httpx.Request("GET", url))


@pytest.mark.parametrize(
    "address",
    [
        "0.1.2.3", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.255.255.254", "169.254.169.254",
        "172.31.255.255", "192.0.0.1", "192.0.2.9", "192.168.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9",
        "224.0.0.251", "239.255.255.250", "240.0.0.1", "255.255.255.255",
        "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:100.64.0.1", "::ffff:0:7f00:1", "64:ff9b::7f00:1",
        "64:ff9b:1::a00:5", "100::1", "2001::7f00:1", "2001:db8::1", "2002:a00:5::", "fc00::1", "fdff::1", "fe80::1",
        "fe80::1%eth0", "fec0::1", "feff::1", "ff02::1", "ff0e::1",
    ],
)  # fmt: skip
def test_no_inner_address_is_public_in_either_family(address: str) -> None:
    assert not addresses.is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "100.63.255.255", "100.128.0.1", "172.32.0.1", "::ffff:8.8.8.8", "2a00:1450::1"]
)
def test_the_neighbours_of_inner_networks_are_public(address: str) -> None:
    assert addresses.is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "host",
    [
        "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "127.1", "127.0.1", "１２７.0.0.1",
        "127.0.0.１", "①②⑦.⓪.⓪.①", "127。0。0。1", "127．0．0．1", "[::ffff:7f00:1", "::ffff:127.1", "0", "00000000",
        "localhost\x00.public.test", "public.test\n127.0.0.1", "public.test#@127.0.0.1", "a..b", ".test", "-a.test",
        "a-.test", "%6c%6f%63alhost", "a" * 64 + ".test", "a." * 130 + "test", "exa mple.test", "ｌｏｃａｌｈｏｓｔ",
    ],
)  # fmt: skip
def test_a_host_in_another_than_its_plain_spelling_is_never_even_looked_up(
    host: str, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.OUTBOUND_ALLOW = []
    names = Names([PUBLIC])
    monkeypatch.setattr(socket, "getaddrinfo", names)

    with pytest.raises(Blocked):
        addresses.checked("https", host, 443)

    assert names.asked == 0
    assert not addresses.spelled_plainly(host)


@pytest.mark.parametrize(
    "host", ["erp.test", "xn--bcher-kva.test", "_dmarc.a.test", "a-b.c-d.test", "x.co", "1e100.test"]
)
def test_ordinary_names_are_spelled_plainly(host: str) -> None:
    assert addresses.spelled_plainly(host)


def test_a_name_that_changes_after_the_check_is_called_where_it_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    names, pool = Names([PUBLIC], ["127.0.0.1"]), Pool()
    monkeypatch.setattr(socket, "getaddrinfo", names)

    sent(pool)

    assert pool.went == [PUBLIC]
    assert names.asked == 1
    assert pool.names == [("erp.test", "erp.test")]


def test_each_request_is_checked_anew_although_its_line_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    names, pool = Names([PUBLIC], [INSIDE]), Pool()
    monkeypatch.setattr(socket, "getaddrinfo", names)
    sent(pool)

    with pytest.raises(Blocked, match="not a public address"):
        sent(pool)

    assert pool.went == [PUBLIC]


def test_inner_addresses_among_public_ones_are_left_out_even_when_the_public_ones_fail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pool = Pool(dead=(PUBLIC, "8.8.8.8"))
    monkeypatch.setattr(socket, "getaddrinfo", Names([INSIDE, PUBLIC, "127.0.0.1", "8.8.8.8", PUBLIC]))

    with pytest.raises(httpx.ConnectError):
        sent(pool)

    assert pool.went == [PUBLIC, "8.8.8.8"]


@pytest.mark.parametrize("answer", ["::ffff:10.0.0.5", "64:ff9b::a00:5", "fe80::1%eth0", "fec0::1"])
def test_a_name_that_leads_to_a_wrapped_or_local_address_is_not_called(
    answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = Pool()
    monkeypatch.setattr(socket, "getaddrinfo", Names([answer]))

    with pytest.raises(Blocked):
        sent(pool)

    assert pool.went == []


@pytest.mark.parametrize(
    "error", [socket.gaierror(-2, "unknown"), OSError("no network"), UnicodeError("label too long")]
)
def test_a_name_without_an_answer_means_that_nothing_was_sent(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fail)

    with pytest.raises(Unreachable) as unreachable:
        addresses.checked("https", "erp.test", 443)

    assert unreachable.value.code == "dns"
    assert unreachable.value.retryable
    assert not unreachable.value.effect_possible


@pytest.mark.parametrize(
    ("allowed", "host", "port", "opened"),
    [
        (["10.0.0.5:443"], "10.0.0.5", 443, True),
        ([" 10.0.0.5:443 "], "10.0.0.5", 443, True),
        (["ERP.Test:8443"], "erp.test.", 8443, True),
        (["10.0.0.5:443"], "erp.test", 443, False),
        (["erp.test:443"], "10.0.0.5", 443, False),
        (["erp.test"], "erp.test", 443, False),
        (["*:443"], "10.0.0.5", 443, False),
        (["erp.test:443"], "a.erp.test", 443, False),
        (["10.0.0.5:443"], "10.0.0.5", 80, False),
        (["127.0.0.1:443"], "2130706433", 443, False),
        (["2130706433:443"], "2130706433", 443, False),
    ],
)
def test_an_inner_address_is_open_only_under_the_name_and_port_that_are_listed(
    allowed: list[str], host: str, port: int, *, opened: bool, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.OUTBOUND_ALLOW = allowed
    monkeypatch.setattr(socket, "getaddrinfo", Names([INSIDE]))

    if opened:
        assert addresses.checked("https", host, port).addresses == (INSIDE,)
    else:
        with pytest.raises(Blocked):
            addresses.checked("https", host, port)


@pytest.mark.parametrize(
    "url",
    [
        "https://a:b@erp.test/", "https://a@erp.test", "javascript:alert(1)", "file:///etc/passwd", "//erp.test/x",
        "ftp://erp.test", "https://erp.test:0x1bb/", "https://erp.test:70000/", "https://", "", "gopher://erp.test:70/",
    ],
)  # fmt: skip
def test_an_address_that_is_no_plain_https_one_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Names([PUBLIC]))

    with pytest.raises(Blocked):
        addresses.checked_url(url)


# --- the model's own line, which is another library's ---------------------------------------------
class ModelPool(httpx2.BaseTransport):
    """Stands where the model's sockets are opened."""

    def __init__(self, answer: httpx2.Response | None = None) -> None:
        self.went: list[str] = []
        self.answer = answer or httpx2.Response(200, content=b"{}")

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self.went.append(request.url.host)
        return self.answer


def model_sent(pool: ModelPool, timeout: float = 5.0) -> httpx2.Response:
    checked = modelwire._Checked()
    checked._pools["models.test"] = pool
    client = httpx2.Client(transport=checked, timeout=timeout)
    return client.post("https://models.test/v1", json={})


def test_the_models_line_goes_where_it_was_checked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    names, pool = Names([PUBLIC], ["127.0.0.1"]), ModelPool()
    monkeypatch.setattr(socket, "getaddrinfo", names)
    model_sent(pool)

    with pytest.raises(Blocked):
        model_sent(pool)

    assert pool.went == [PUBLIC]


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "GZIP", "gzip, gzip"])
def test_a_model_that_answers_compressed_is_not_unpacked(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[bool] = []

    class Stream(httpx2.SyncByteStream):
        def __iter__(self) -> Any:
            raise AssertionError("a bomb was unpacked")

        def close(self) -> None:
            closed.append(True)

    monkeypatch.setattr(socket, "getaddrinfo", Names([PUBLIC]))
    answer = httpx2.Response(200, headers={"content-encoding": encoding}, stream=Stream())

    with pytest.raises(modelwire.Packed):
        model_sent(ModelPool(answer))

    assert closed == [True]


def test_a_model_that_answers_without_end_is_cut_off_by_size_and_by_time(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(modelwire.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(socket, "getaddrinfo", Names([PUBLIC]))

    class Drip(httpx2.SyncByteStream):
        def __init__(self, seconds: float) -> None:
            self.seconds = seconds

        def __iter__(self) -> Any:
            for _ in range(1000):
                clock[0] += self.seconds
                yield b"x"

    with pytest.raises(httpx2.ReadTimeout):
        model_sent(ModelPool(httpx2.Response(200, stream=Drip(4.0))), timeout=5.0)
    settings.OUTBOUND_MAX_BYTES = 10
    with pytest.raises(modelwire.TooLong):
        model_sent(ModelPool(httpx2.Response(200, stream=Drip(0.0))), timeout=5.0)
