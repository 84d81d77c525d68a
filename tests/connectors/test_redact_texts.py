"""Nothing secret in a log: nested, listed, spelled another way, in addresses and in names."""

import html
import json
from base64 import b64encode, urlsafe_b64encode
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from connectors.redaction import HIDDEN, Redactor

SECRET = 'p@ss/w+rd "ü"'


@pytest.mark.parametrize(
    "spelled",
    [SECRET, quote(SECRET), quote(SECRET, safe=""), quote_plus(SECRET), 'p@ss/w+rd \\"\\u00fc\\"'],
)
def test_a_secret_is_known_however_it_is_spelled(spelled: str) -> None:
    assert Redactor([SECRET]).text(f"before {spelled} after") == f"before {HIDDEN} after"


def dotnet(text: str) -> str:
    """A text as .NET writes it into JSON: all but letters and digits as escapes, in capitals."""
    return "".join(letter if letter.isascii() and letter.isalnum() else f"\\u{ord(letter):04X}" for letter in text)


HARD = "a/b+c=d&e'f\"g<h> i\\j%k~l\x0bm\nnü€"


@pytest.mark.parametrize(
    "spelled",
    [
        HARD, quote(HARD, safe="").lower(), quote_plus(HARD), html.escape(HARD), dotnet(HARD), repr(HARD)[1:-1],
        html.escape(HARD).replace("/", "&#x2F;"), json.dumps(HARD)[1:-1], json.dumps(HARD)[1:-1].replace("/", "\\/"),
        repr(HARD.encode())[2:-1].replace("\\xc3\\xbc\\xe2\\x82\\xac", "ü€"),
    ],
)  # fmt: skip
def test_a_secret_is_known_in_the_escapes_of_every_house(spelled: str) -> None:
    assert Redactor([HARD]).text(f"before {spelled} after") == f"before {HIDDEN} after"


@pytest.mark.parametrize("user", ["", "u:", "us:", "usr:", "a-longer-user:"])
@pytest.mark.parametrize("packed", [b64encode, urlsafe_b64encode])
def test_a_secret_is_known_in_base64_wherever_it_stands_in_it(user: str, packed: Any) -> None:
    secret = "sésame?open>up please"
    told = packed(f"{user}{secret}".encode()).decode()

    shown = Redactor([secret]).text(f"You sent {told} to us")

    assert HIDDEN in shown
    # What is left are the letters that the user's name and the end of the secret share.
    assert len(shown) <= len(f"You sent {HIDDEN} to us") + len(packed(user.encode())) + 5


@pytest.mark.parametrize(
    "shape",
    [
        lambda text: text,
        lambda text: [text, [text]],
        lambda text: {"a": {"b": [{"c": text}]}},
        lambda text: (text, {"a": text}),
        lambda text: {text: 1},
        lambda text: {"a": {text: {text: text}}},
        lambda text: [f"x{text}y"] * 3,
    ],
)
def test_a_secret_is_found_at_any_depth_and_in_names(shape: Any) -> None:
    shown = str(Redactor(["sesame-open"]).data(shape("sesame-open")))

    assert "sesame" not in shown
    assert HIDDEN in shown


@pytest.mark.parametrize(
    "name",
    [
        "Authorization", "Proxy-Authorization", "client_secret", "clientSecret", "ClientSecret", "accessToken",
        "refresh_token", "idToken", "id token", "X-Api-Key", "apiKey", "PrivateKey", "private_key", "Cookie",
        "Set-Cookie", "sessionCookie", "passwd", "userPassword", "passwords", "client_assertion", "X-Signature",
    ],
)  # fmt: skip
def test_a_telling_name_hides_its_value_in_every_house_style(name: str) -> None:
    assert Redactor().data([{name: "value"}, {name: ["value"]}, {name: {"a": 1}}]) == [{name: HIDDEN}] * 3


@pytest.mark.parametrize(
    "name",
    ["tokens", "prompt_tokens", "token_count", "Secretary", "signature_date", "cookies_accepted", "SalesOrderNumber",
     "keyword", "monkey", "PasswordPolicyName", "KeyAccount", "Tokenring"],
)  # fmt: skip
def test_a_business_name_that_only_sounds_alike_keeps_its_value(name: str) -> None:
    value = Redactor().data({name: "value"})

    assert value == {name: "value"} or name in ("tokens", "prompt_tokens")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET https://x.test/a?sig=abc%2Fdef&sv=1 failed", f"GET https://x.test/a?sig={HIDDEN}&sv=1 failed"),
        ("https://x.test/?a=1&access_token=tok#frag", f"https://x.test/?a=1&access_token={HIDDEN}#frag"),
        ("https://x.test/?API_KEY=k k", f"https://x.test/?API_KEY={HIDDEN} k"),
        ("'https://x.test/?client_secret=s'", f"'https://x.test/?client_secret={HIDDEN}'"),
        ("https://x.test/?token_count=3", "https://x.test/?token_count=3"),
        ("the sig=abc of a letter", "the sig=abc of a letter"),
        ("authorization: bearer  abcdefgh12", f"authorization: bearer {HIDDEN}"),
        ("BASIC QWxhZGRpbjpvcGVu", f"BASIC {HIDDEN}"),
        ("a bearer of news", "a bearer of news"),
    ],
)
def test_what_lets_somebody_in_is_taken_out_of_addresses_and_headers(text: str, shown: str) -> None:
    assert Redactor().text(text) == shown


def test_longer_secrets_go_first_and_short_ones_are_left_alone() -> None:
    redactor = Redactor(["open", "open-sesame", "abc", ""])

    assert redactor.text("open-sesame, open, abc") == f"{HIDDEN}, {HIDDEN}, abc"
    assert "open" not in repr(redactor)


@pytest.mark.parametrize("value", [None, 0, 1.5, True, "", [], {}, [None, {"a": None}]])
def test_what_holds_nothing_comes_back_as_it_was(value: Any) -> None:
    assert Redactor([SECRET]).data(value) == value
