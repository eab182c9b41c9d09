"""The guard of tests/conftest.py: nothing leaves the machine, and a swallowed error does not hide it."""

import socket
import urllib.error
import urllib.request

import pytest
from hypothesis import settings


def attempt(code):
    try:
        code()
    except OSError as error:
        return str(error)
    return ''


@pytest.mark.parametrize(
    'code',
    [
        lambda: socket.create_connection(('192.0.2.1', 80), timeout=1),
        lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53)),
        lambda: socket.socket().connect_ex(('192.0.2.1', 80)),
        lambda: socket.gethostbyname('example.org'),
        lambda: urllib.request.urlopen('https://example.org', timeout=1),
    ],
)
def test_attempts_fail_and_are_counted(code, no_network):
    assert 'the tests run offline' in attempt(code)
    assert no_network
    no_network.clear()  # or this test would fail, as it should


def test_loopback_stays_open(no_network):
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        server.listen()
        with socket.create_connection(('localhost', server.getsockname()[1]), timeout=5):
            assert not no_network


def test_profiles_of_hypothesis():
    assert settings.get_profile('fuzz').max_examples >= 1000
