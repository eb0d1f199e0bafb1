"""Names of endpoints."""

from __future__ import annotations

import ssl

from headgate.proxy.upstream.endpoint import Endpoint
from headgate.proxy.upstream.tls import client_context


def test_names() -> None:
    assert Endpoint("a.example", 80).authority == "a.example:80"
    assert Endpoint("::1", 80).authority == "[::1]:80"
    assert Endpoint("local", 80, unix_path="/run/s").authority == "unix:/run/s"
    assert Endpoint("a.example", 80).server_name == "a.example"
    assert Endpoint("10.0.0.1", 80, sni="a.example").server_name == "a.example"


def test_contexts() -> None:
    strict = client_context()
    assert strict.verify_mode is ssl.CERT_REQUIRED
    assert strict.check_hostname
    assert strict.minimum_version is ssl.TLSVersion.TLSv1_2
    loose = client_context(verify=False)
    assert loose.verify_mode is ssl.CERT_NONE
    assert not loose.check_hostname
