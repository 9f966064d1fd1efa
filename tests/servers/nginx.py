"""A real nginx with the site file of deploy/nginx, on ports and in a folder of its own."""

import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.conf import settings

from evalsite.box.children import Child
from tests.servers.addresses import free_port, wait_until
from tests.servers.missing import say_missing

TEMPLATE = Path(settings.BASE_DIR) / "deploy" / "nginx" / "winrate.conf.template"
HOST = "arena.test"
_AROUND = """
{user}
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/start.log warn;
worker_processes 1;
events {{ worker_connections 256; }}
http {{
    include {mime_types};
    default_type application/octet-stream;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxied;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {site}
}}
"""


def as_it_is(site: str) -> str:
    """The site file as it is shipped."""
    return site


def filled_in(template: str, variables: Mapping[str, str]) -> str:
    """What envsubst makes of a template, except that a name without a value is an error."""
    return re.sub(r"\$\{([A-Z_]+)\}", lambda found: variables[found[1]], template)


class NginxServer:
    """One nginx in front of a web server; `http` and `https` are its ports, `certificate` whom to trust."""

    def __init__(
        self,
        folder: Path,
        *,
        web: str,
        bucket_url: str = "http://127.0.0.1:9",
        change: Callable[[str], str] = as_it_is,
    ) -> None:
        """Write the configuration and a certificate, start, and wait until it listens; `change` edits the site file."""
        binary = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or say_missing("nginx")
        self.folder, self.http, self.https = folder, free_port(), free_port()
        self.certificate, key = self_signed(folder)
        self.static = folder / "static"
        self.static.mkdir()
        site = filled_in(
            change(TEMPLATE.read_text()),
            {
                **{"HOST": HOST, "WEB": web, "BUCKET_URL": bucket_url, "CACHE_SIZE": "50m"},
                "HTTP_PORT": f"127.0.0.1:{self.http}",
                "HTTPS_PORT": f"127.0.0.1:{self.https}",
                **{"CERTIFICATE": str(self.certificate), "CERTIFICATE_KEY": str(key)},
                "STATIC_FOLDER": str(self.static),
                "IMAGE_FOLDER": str(settings.STORAGES["images"]["OPTIONS"].get("location", "/nowhere")),
                **{"CACHE_FOLDER": str(folder / "cache"), "LOG_FOLDER": str(folder)},
            },
        )
        # The data folder of a test is its owner's alone; a deployment gives nginx's user the group instead.
        user = "user root;" if os.getuid() == 0 else ""
        types = "/etc/nginx/mime.types"
        configuration = folder / "nginx.conf"
        configuration.write_text(_AROUND.format(user=user, folder=folder, mime_types=types, site=site))
        command = [binary, "-e", str(folder / "start.log"), "-c", str(configuration)]
        checked = subprocess.run([*command, "-t"], capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr
        self.warnings = [line for line in checked.stderr.splitlines() if "[warn]" in line]
        self._child = Child("nginx", command, log=folder / "nginx.log")
        wait_until(self._listens, seconds=60, what=f"nginx listens (its log: {folder}/start.log)")

    def _listens(self) -> bool:
        assert self._child.exit_code() is None, "\n".join(self._child.last_lines())
        with socket.socket() as line:
            return line.connect_ex(("127.0.0.1", self.https)) == 0

    def access_log(self) -> str:
        """The lines it wrote about requests."""
        return (self.folder / "winrate-access.log").read_text()

    def stop(self) -> None:
        """End it at once."""
        self._child.send_signal(signal.SIGTERM)
        self._child.kill()


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for HOST that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    signed = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False).sign(
        key, hashes.SHA256()
    )
    certificate, secret = folder / "fullchain.pem", folder / "privkey.pem"
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate, secret
