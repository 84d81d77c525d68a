"""Over TLS the store is who it says it is, by an authority of the system or by the one that the settings name."""

import logging
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from threading import Thread

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from insights.objectstore.bucket import bucket
from insights.objectstore.faults import StoreUnavailable


def certificate(name, *, authority=None):
    """A key and a certificate of ``name``: an authority's own, or one for this machine by ``authority``."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer, issuer = (key, subject) if authority is None else (authority[0], authority[1].subject)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
    )
    return key, made.sign(signer, hashes.SHA256())


@pytest.fixture
def over_tls(store, settings, tmp_path):
    """The store behind a certificate of an authority of one's own; returns the authority's file."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    authority = certificate("authority")
    key, own = certificate("store", authority=authority)
    files = {name: tmp_path / f"{name}.pem" for name in ("authority", "own", "key")}
    files["authority"].write_bytes(authority[1].public_bytes(Encoding.PEM))
    files["own"].write_bytes(own.public_bytes(Encoding.PEM))
    files["key"].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    application = DomainDispatcherApplication(create_backend_app)
    context = (str(files["own"]), str(files["key"]))
    server = make_server("127.0.0.1", 0, application, threaded=True, ssl_context=context)
    thread = Thread(target=server.serve_forever)
    thread.start()
    settings.INSIGHTS_S3_ENDPOINT = f"https://127.0.0.1:{server.port}"
    yield files["authority"]
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_authority_of_ones_own_is_trusted_once_it_is_named(over_tls, settings):
    settings.INSIGHTS_S3_CA_FILE = str(over_tls)

    bucket(patient=False).probe()


def test_a_certificate_that_nobody_vouches_for_is_refused(over_tls):
    with pytest.raises(StoreUnavailable) as told:
        bucket(patient=False).probe()
    assert told.value.reason == "connect"


@pytest.mark.parametrize("text", ["", "no certificate"])
def test_a_file_that_is_no_authority_is_a_fault_of_the_settings(over_tls, settings, tmp_path, text):
    path = tmp_path / "nonsense.pem"
    path.write_text(text)
    settings.INSIGHTS_S3_CA_FILE = str(path)

    with pytest.raises(StoreUnavailable):
        bucket(patient=False).probe()
    settings.INSIGHTS_S3_CA_FILE = str(tmp_path / "missing.pem")
    with pytest.raises(StoreUnavailable) as told:
        bucket(patient=False)
    assert told.value.reason == "settings"
