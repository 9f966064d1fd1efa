"""A real S3 service on this machine: moto's server in a thread."""

from dataclasses import dataclass

import boto3
from moto.server import ThreadedMotoServer

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}


@dataclass(frozen=True)
class S3Server:
    """Where it answers."""

    endpoint_url: str

    def storage_url(self, bucket: str) -> str:
        """What STORAGE_URL takes for a new, empty bucket."""
        boto3.client("s3", endpoint_url=self.endpoint_url).create_bucket(Bucket=bucket)
        return f"s3://{bucket}?endpoint_url={self.endpoint_url}"


class RunningS3:
    """Starts with the `with` block and ends with it."""

    def __enter__(self) -> S3Server:
        """Listen on a free port."""
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        return S3Server(endpoint_url=f"http://{host}:{port}")

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
        self._server.stop()
