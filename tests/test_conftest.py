"""The guard that keeps the other tests off the network does guard."""

import socket

import pytest


@pytest.mark.parametrize("address", [("192.0.2.1", 80), ("example.invalid", 443)])
@pytest.mark.parametrize("method", ["connect", "connect_ex"])
def test_a_connection_off_this_machine_fails_the_test(address: tuple[str, int], method: str) -> None:
    with socket.socket() as own, pytest.raises(pytest.fail.Exception):
        getattr(own, method)(address)


def test_loopback_stays_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        client.connect(server.getsockname())
