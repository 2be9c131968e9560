"""An S3 server on this machine."""

import logging
import secrets
from contextlib import contextmanager
from dataclasses import dataclass, field

import fsspec
import pytest
from moto.server import ThreadedMotoServer


@dataclass
class Bucket:
    """A bucket of a server that can be stopped and started again, with what it holds."""

    address: str
    port: int = 0
    server: ThreadedMotoServer | None = field(default=None, repr=False)

    def start(self):
        self.server = ThreadedMotoServer(ip_address="127.0.0.1", port=self.port, verbose=False)
        self.server.start()
        _, self.port = self.server.get_host_and_port()

    def stop(self):
        if self.server is not None:
            self.server.stop()
            self.server = None


@contextmanager
def serving():
    """A bucket of a new server, and the settings by which it is found."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    found = Bucket(f"s3://b{secrets.token_hex(6)}/kept")
    found.start()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{found.port}",
        }.items():
            patch.setenv(name, value)
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        fsspec.filesystem("s3").mkdir(found.address.removeprefix("s3://").split("/")[0])
        yield found
    found.stop()
