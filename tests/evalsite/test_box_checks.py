"""What `manage.py up` refuses to start on, each time with what to do."""

import os
import socket
from pathlib import Path

import pytest

from evalsite.box.checks import (
    refuse_full_disk,
    refuse_taken_port,
    sole_use,
)
from evalsite.box.errors import BoxError
from evalsite.places import LONGEST_SOCKET_PATH, private_redis_url, redis_socket


def test_a_full_disk_is_refused(tmp_path: Path) -> None:
    refuse_full_disk(tmp_path, least=1)
    with pytest.raises(BoxError, match="is full .* free some space, or set WINRATE_DATA_DIR"):
        refuse_full_disk(tmp_path, least=2**60)


def test_a_taken_port_is_refused_and_a_free_one_proposed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(BoxError, match=f"port {port} is taken by another program: .* PORT={port + 1} make up"):
            refuse_taken_port("127.0.0.1", port)
    refuse_taken_port("127.0.0.1", port)


def test_an_address_that_is_not_ours_is_refused() -> None:
    with pytest.raises(BoxError, match="cannot listen on 192.0.2.1 port 8000: Cannot assign requested address"):
        refuse_taken_port("192.0.2.1", 8000)


def test_a_data_folder_is_used_once_at_a_time(tmp_path: Path) -> None:
    with sole_use(tmp_path):
        message = rf"Winrate already runs on {tmp_path} \(process {os.getpid()}\): stop that one first"
        with pytest.raises(BoxError, match=message), sole_use(tmp_path):
            pass
    with sole_use(tmp_path):
        pass


def test_a_long_folder_name_moves_the_socket_to_a_short_place(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 120)
    socket_path = redis_socket(deep)
    assert (redis_socket(tmp_path), len(str(socket_path)) <= LONGEST_SOCKET_PATH) == (
        tmp_path / "redis" / "redis.sock",
        True,
    )
    assert private_redis_url(deep) != private_redis_url(tmp_path / ("y" * 120))
