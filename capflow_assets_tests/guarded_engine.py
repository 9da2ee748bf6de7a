"""Another Spark Connect server: TLS, a token that it demands, and behind it the engine of this process."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc

from capflow_assets.home.session import embedded

ANSWERS_IN_PARTS = ("ExecutePlan", "ReattachExecute")
ASKED_IN_PARTS = ("AddArtifacts",)


class Guard(grpc.GenericRpcHandler):
    """Hands calls on as they are, if they bring the token."""

    def __init__(self, channel: grpc.Channel, token: str) -> None:
        self.channel, self.token = channel, token

    def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        name = call.method.rpartition("/")[2]
        is_known = dict(call.invocation_metadata).get("authorization") == f"Bearer {self.token}"
        if name in ASKED_IN_PARTS:
            return grpc.stream_unary_rpc_method_handler(self._kept(is_known, self.channel.stream_unary(call.method)))
        if name in ANSWERS_IN_PARTS:
            return grpc.unary_stream_rpc_method_handler(self._parts(is_known, self.channel.unary_stream(call.method)))
        return grpc.unary_unary_rpc_method_handler(self._kept(is_known, self.channel.unary_unary(call.method)))

    def _kept(self, is_known: bool, onward: Callable[[Any], Any]) -> Callable[[Any, grpc.ServicerContext], Any]:
        def answer(request: Any, context: grpc.ServicerContext) -> Any:
            self._demand(is_known, context)
            return onward(request)

        return answer

    def _parts(self, is_known: bool, onward: Callable[[Any], Any]) -> Callable[[Any, grpc.ServicerContext], Any]:
        def answer(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            self._demand(is_known, context)
            yield from onward(request)

        return answer

    @staticmethod
    def _demand(is_known: bool, context: grpc.ServicerContext) -> None:
        if not is_known:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "this server demands another token")


@contextmanager
def guarded_engine(token: str, folder: Path) -> Iterator[tuple[int, Path]]:
    """The server's port on this machine, and the certificate that its callers have to trust."""
    key, certificate = self_signed()
    file = folder / "trusted.pem"
    file.write_bytes(certificate)
    server = grpc.server(ThreadPoolExecutor(8))
    with grpc.insecure_channel(embedded().address) as channel:
        server.add_generic_rpc_handlers((Guard(channel, token),))
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)]))
        server.start()
        yield port, file
        server.stop(1).wait()


def self_signed() -> tuple[bytes, bytes]:
    """A key and a certificate of 127.0.0.1, for an hour."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return secret, certificate.public_bytes(serialization.Encoding.PEM)
