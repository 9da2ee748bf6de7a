"""How far a request got, by real sockets; and addresses that must not be called."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from capflow_assets.transfer.http import Endpoint, NoAnswer, NotSent, is_public, url_problem
from capflow_assets_doubles.http_server import Reply, Request, http_server


@contextmanager
def raw_server(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that does with one connection what it likes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            try:
                talk(connection)
            except OSError:
                return

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        thread.join(10)
        listener.close()


def test_a_connection_is_kept_and_made_anew_when_the_server_has_ended_it() -> None:
    requests: list[Request] = []

    def answer(request: Request) -> Reply:
        requests.append(request)
        return Reply(200, b"ok", {"connection": "close"} if len(requests) == 2 else {})

    with http_server(answer) as address:
        endpoint = Endpoint(f"{address}/in?of=crm", timeout_seconds=5, may_be_private=True)
        answers = [endpoint.request("POST", endpoint.path, b"{}", {"x-of": "boots"}) for _ in range(3)]
        endpoint.close()
    assert [(answer.status, answer.body) for answer in answers] == [(200, b"ok")] * 3
    assert {(request.path, request.headers["x-of"], request.body) for request in requests} == {
        ("/in?of=crm", "boots", b"{}")
    }


@pytest.mark.parametrize("said", [b"", b"connection: close\r\n"])
def test_a_server_that_drips_is_cut_off(said: bytes) -> None:
    def drip(connection: socket.socket) -> None:
        connection.recv(1_000)
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + said + b"content-length: 100\r\n\r\n")
        for _ in range(100):
            connection.sendall(b".")
            time.sleep(0.05)

    with raw_server(drip) as address:
        endpoint = Endpoint(address, timeout_seconds=0.3, may_be_private=True)
        with pytest.raises(NoAnswer):
            endpoint.request("GET", "/", None, {})


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", b"220 smtp.example.com\r\n"]
)
def test_no_answer_half_an_answer_and_no_http_are_no_answer(said: bytes) -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(1_000)
        connection.sendall(said)

    with raw_server(talk) as address:
        endpoint = Endpoint(address, timeout_seconds=5, may_be_private=True)
        with pytest.raises(NoAnswer):
            endpoint.request("POST", "/", b"{}", {})


def test_a_port_where_nobody_listens_was_sent_nothing() -> None:
    with pytest.raises(NotSent) as raised:
        Endpoint("http://127.0.0.1:1", timeout_seconds=5, may_be_private=True).request("GET", "/", None, {})
    assert not raised.value.is_final


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate of ``localhost`` that it has signed itself, and a server's context with it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=True)
        .sign(key, hashes.SHA256())
    )
    form = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
    (tmp_path / "cert.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    return tmp_path / "cert.pem", context


def test_an_encrypted_connection_goes_to_a_server_that_proves_its_name_alone(
    certificate: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, context = certificate

    def status_of(address: str) -> int:
        endpoint = Endpoint(address, timeout_seconds=5, may_be_private=True)
        try:
            return endpoint.request("GET", "/", None, {}).status
        finally:
            endpoint.close()

    with http_server(lambda _: Reply(204), context) as address:
        with pytest.raises(NotSent, match="certificate is not trusted") as raised:
            status_of(address)
        assert raised.value.is_final
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        assert status_of(address) == 204
        with pytest.raises(NotSent, match="certificate is not trusted"):
            status_of(address.replace("localhost", "127.0.0.1"))


def test_a_server_that_speaks_no_tls_was_sent_nothing() -> None:
    with http_server(lambda _: Reply(200)) as address:
        endpoint = Endpoint(address.replace("http:", "https:"), timeout_seconds=2, may_be_private=True)
        with pytest.raises(NotSent):
            endpoint.request("POST", "/", b"{}", {})


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "10.1.2.3", "[::ffff:10.1.2.3]"]
)
def test_private_addresses_are_not_called(host: str) -> None:
    with pytest.raises(NotSent, match="private network") as raised:
        Endpoint(f"https://{host}:9", timeout_seconds=1, may_be_private=False).request("GET", "/", None, {})
    assert raised.value.is_final


def test_which_addresses_are_public() -> None:
    private = ["0.0.0.0", "127.1.2.3", "192.168.0.1", "172.16.9.9", "100.64.0.1", "fe80::1%eth0", "fd00::1"]
    private += ["224.0.0.1", "64:ff9b::a00:1", "2002:a00:1::1"]
    assert [address for address in private if is_public(address)] == []
    assert all(map(is_public, ["8.8.8.8", "2606:4700:4700::1111"]))


@pytest.mark.parametrize(
    "url", ["ftp://shop.example.com", "https://", "shop.example.com", "https://a b", "https://a:99999"]
)
def test_what_is_no_address(url: str) -> None:
    assert "such as https://shop.example.com/hook" in url_problem(url, may_be_private=True)
