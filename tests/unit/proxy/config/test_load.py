"""From files and text to a configuration: what surrounds the values."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trustme
from pydantic import BaseModel, ValidationError, field_validator

from headgate.proxy.config.dump import dump
from headgate.proxy.config.lint import MAX_COMPARED
from headgate.proxy.config.load import MAX_FILE_BYTES, check, load
from headgate.proxy.config.plugin_schema import PluginSchema
from headgate.proxy.config.problems import MAX_EXAMINED, MAX_PROBLEMS, ConfigErrors
from headgate.proxy.config.secrets import SecretRef

BASE = """\
listeners: [{address: 127.0.0.1:8080}]
clusters: {service: {endpoints: ["http://127.0.0.1:9000"]}}
routes: [{match: {path: /}, targets: [service]}]
"""


def errors_of(source: Path | str, schemas: Mapping[str, PluginSchema] | None = None, **environ: str) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        load(source, schemas or {}, environ)
    return str(caught.value).splitlines()


def test_text_and_file_give_the_same(tmp_path: Path) -> None:
    file = tmp_path / "gate.yaml"
    file.write_text(BASE)
    assert load(file, {}, {}) == load(BASE, {}, {})


def test_byte_order_mark_and_windows_lines_are_read(tmp_path: Path) -> None:
    file = tmp_path / "gate.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + BASE.replace("\n", "\r\n").encode())
    assert load(file, {}, {}) == load(BASE, {}, {})


def test_missing_file_and_directory_are_one_error_each(tmp_path: Path) -> None:
    missing = tmp_path / "none.yaml"
    assert errors_of(missing) == [
        f"{missing}:1:1: the file cannot be read (no such file or directory), wanted a readable file"
    ]
    assert errors_of(tmp_path) == [f"{tmp_path}:1:1: the file cannot be read (is a directory), wanted a readable file"]


def test_bytes_that_are_not_utf8_are_named_with_their_position(tmp_path: Path) -> None:
    file = tmp_path / "gate.yaml"
    file.write_bytes("a: é\nb: \xe9\n".encode().replace(b"b: \xc3\xa9", b"b: \xe9"))
    assert errors_of(file) == [f"{file}:2:4: got the byte 0xE9, wanted UTF-8"]
    file.write_bytes(BASE.encode("utf-16"))
    assert errors_of(file) == [f"{file}:1:1: got the byte 0xFF, wanted UTF-8"]


def test_file_past_the_size_limit_is_refused_and_no_more_is_read(tmp_path: Path) -> None:
    file = tmp_path / "gate.yaml"
    file.write_bytes(BASE.encode() + b"#" * (MAX_FILE_BYTES - len(BASE)))
    load(file, {}, {})
    with file.open("ab") as end:
        end.write(b"#")
    assert errors_of(file) == [f"{file}:1:1: the file is larger than {MAX_FILE_BYTES} bytes, wanted a smaller one"]
    assert errors_of(Path("/dev/zero"))[0].startswith("/dev/zero:1:1: the file is larger than")


def test_columns_count_characters_not_bytes() -> None:
    assert errors_of(BASE + "öäü: {é: 1}\n")[0].startswith('<text>:4:1: ["öäü"]: unknown key')
    assert errors_of(BASE + 'admin: {address: "a:1", "ö": 1, b: 2}')[1].startswith("<text>:4:33: admin.b: unknown key")


def test_relative_paths_start_at_the_directory_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "secret").write_text("s3cret\n")
    file = inner / "gate.yaml"
    file.write_text(BASE + "admin: {address: 127.0.0.1:1, token: file:secret}\naccess_log: log")
    monkeypatch.chdir(tmp_path)
    config = load(Path("inner/gate.yaml"), {}, {})
    assert config.admin is not None and config.admin.token is not None
    assert config.admin.token.reveal() == "s3cret"
    assert config.access_log == str(inner / "log")


def test_secret_never_shows(tmp_path: Path) -> None:
    text = BASE + "admin: {address: 127.0.0.1:1, token: env:TOKEN}"
    config = load(text, {}, {"TOKEN": "hunter2"})
    assert config.admin is not None and config.admin.token is not None
    shown = f"{config!r} {config} {config.admin.token!r} {dump(config)} {config.admin.model_dump_json(warnings=False)}"
    assert "hunter2" not in shown
    assert dump(config)["admin"]["token"] == "***"
    assert config.admin.token == SecretRef("env:OTHER", "hunter2")
    assert load(text, {}, {"TOKEN": "changed"}) != config


def test_configurations_compare_by_what_they_say() -> None:
    assert load(BASE, {}, {}) == load(BASE + "# a comment\n", {}, {})
    assert load(BASE, {}, {}) != load(BASE + "drain: 5s", {}, {})
    assert load(BASE, {}, {}).clusters == load(BASE + "drain: 5s", {}, {}).clusters


def test_configuration_is_frozen() -> None:
    config = load(BASE, {}, {})
    whole: Any = config
    with pytest.raises(ValidationError):
        whole.drain = 1.0
    clusters: Any = config.clusters
    with pytest.raises(TypeError):
        clusters["other"] = None


def test_unset_environment_means_that_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADGATE_TEST_TOKEN", "from-process")
    config = load(BASE + "admin: {address: 127.0.0.1:1, token: env:HEADGATE_TEST_TOKEN}", {})
    assert config.admin is not None and config.admin.token is not None
    assert config.admin.token.reveal() == "from-process"


def test_pipe_as_a_secret_is_refused_without_blocking(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    file = tmp_path / "gate.yaml"
    file.write_text(BASE + "admin: {address: 127.0.0.1:1, token: file:pipe}")
    assert "it is not a regular file" in errors_of(file)[0]


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "is empty"), (b"\xff", "is not UTF-8"), (b"a\nb\n", "several lines"), (b"x" * 70_000, "larger than 65536")],
)
def test_secret_file_holds_one_line_of_text(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "secret").write_bytes(content)
    file = tmp_path / "gate.yaml"
    file.write_text(BASE + "admin: {address: 127.0.0.1:1, token: file:secret}")
    assert said in errors_of(file)[0]


def test_certificate_and_key_are_checked_as_a_pair(tmp_path: Path) -> None:
    authority = trustme.CA()
    for name in ("one", "two"):
        certificate = authority.issue_cert(f"{name}.example.com")
        certificate.cert_chain_pems[0].write_to_path(str(tmp_path / f"{name}.pem"))
        certificate.private_key_pem.write_to_path(str(tmp_path / f"{name}.key"))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    text = """\
listeners: [{address: 127.0.0.1:8080, tls: {certificate: one.pem, key: KEY}}]
clusters: {service: {endpoints: ["https://127.0.0.1:9000"], tls: {ca: CA}}}
routes: [{match: {path: /}, targets: [service]}]
"""
    file = tmp_path / "gate.yaml"
    file.write_text(text.replace("KEY", "one.key").replace("CA", "ca.pem"))
    tls = load(file, {}, {}).listeners[0].tls
    assert tls is not None and (tls.certificate, tls.key) == (tmp_path / "one.pem", tmp_path / "one.key")
    file.write_text(text.replace("KEY", "two.key").replace("CA", "one.key"))
    pair, authorities = errors_of(file)
    assert pair.startswith(
        f"{file}:1:58: listeners[0].tls.certificate: the key in `{tmp_path}/two.key` does not belong"
    )
    assert "clusters.service.tls.ca" in authorities and "holds no certificates" in authorities
    file.write_text(text.replace("KEY", "one.pem").replace("CA", "ca.pem"))
    assert "are no certificate and its key" in errors_of(file)[0]


def test_wrong_plugin_code_is_an_error_at_its_place() -> None:
    class Settings(BaseModel):
        size: int

        @field_validator("size")
        @classmethod
        def _fail(cls, value: int) -> int:
            return 1 // value

    schemas = {"own": PluginSchema("own", Settings, None, frozenset())}
    assert load(BASE + "plugins: {own: {size: 1}}", schemas, {}).plugins["own"].settings == Settings(size=1)
    (told,) = errors_of(BASE + "plugins: {own: {size: 0}}", schemas)
    what, _, place = told.partition(" (at ")
    assert what == "<text>:4:16: plugins.own: the plugin `own` failed on its settings with ZeroDivisionError"
    assert place.partition(":")[0] == __file__  # and the text of the error is not shown: it might hold what is set


def test_who_names_a_plugin_that_is_not_found_is_told_where_they_come_from() -> None:
    schemas = {"own": PluginSchema("own", None, None, frozenset())}
    (far,) = errors_of(BASE + "plugins: {another: {}}", schemas)
    assert 'unknown plugin "another", wanted `own`; `headgate plugins` lists all' in far
    (near,) = errors_of(BASE + "plugins: {owm: {}}", schemas)
    assert near.endswith('unknown plugin "owm", did you mean `own`?')


def test_plugin_messages_keep_their_own_words() -> None:
    class Settings(BaseModel):
        names: list[str]
        ratio: float
        nested: dict[str, list[int]]

    schemas = {"own": PluginSchema("own", Settings, None, frozenset())}
    text = BASE + "plugins:\n  own: {names: [a, 5], ratio: x, nested: {a: [1, z]}}"
    assert errors_of(text, schemas) == [
        "<text>:5:20: plugins.own.names[1]: got 5, wanted text: put it into quotes",
        '<text>:5:31: plugins.own.ratio: got "x", wanted a number',
        '<text>:5:50: plugins.own.nested.a[1]: got "z", wanted a whole number',
    ]


def test_number_of_problems_is_bounded() -> None:
    text = BASE + "".join(f"key{i}: 1\n" for i in range(MAX_PROBLEMS + 5))
    with pytest.raises(ConfigErrors) as caught:
        load(text, {}, {})
    assert len(caught.value.problems) == MAX_PROBLEMS
    assert str(caught.value).endswith("\nand 5 more")


def test_number_of_values_is_bounded_and_so_is_the_time() -> None:
    assert "unfolds to more than 200000 values" in errors_of("routes: [" + "a, " * 200_000 + "]")[0]
    before = time.process_time()
    with pytest.raises(ConfigErrors) as caught:
        load(BASE + "".join(f"key{i}: 1\n" for i in range(MAX_EXAMINED + 10)), {}, {})
    assert caught.value.num_left_out == MAX_EXAMINED + 10 - MAX_PROBLEMS
    assert time.process_time() - before < 10


def test_nearest_name_is_found_among_thousands() -> None:
    clusters = "".join(f"  cluster-{i:04}: {{endpoints: ['http://a']}}\n" for i in range(2000))
    text = f"listeners: [{{address: 'a:1'}}]\nclusters:\n{clusters}"
    text += "routes: [{match: {path: /}, targets: [clutser-1234]}]"
    assert "did you mean `cluster-1234`?" in errors_of(text)[0]


def test_only_so_many_routes_of_one_path_are_compared() -> None:
    route = "  - match: {path: /a}\n    targets: [service]\n"
    text = BASE.replace("routes: [{match: {path: /}, targets: [service]}]\n", "routes:\n") + route * (MAX_COMPARED + 50)
    assert len(errors_of(text)) == MAX_COMPARED - 1


@pytest.mark.parametrize(
    ("one", "other", "is_taken"),
    [
        ("127.0.0.1:80", "127.0.0.1:80", True),
        ("127.0.0.1:80", "127.0.0.1:81", False),
        ("127.0.0.1:80", "127.0.0.2:80", False),
        ("0.0.0.0:80", "127.0.0.1:80", True),
        ("127.0.0.1:80", "0.0.0.0:80", True),
        ("[::]:80", "[::1]:80", True),
        ("[::1]:80", "[0:0:0:0:0:0:0:1]:80", True),
        ("[::1]:80", "127.0.0.1:80", False),
        ("127.0.0.1:0", "127.0.0.1:0", False),
    ],
)
def test_an_address_is_taken_once(one: str, other: str, is_taken: bool) -> None:
    text = BASE.replace("127.0.0.1:8080", f'"{one}"') + f'admin: {{address: "{other}"}}'
    if is_taken:
        assert "is taken by listeners[0]" in errors_of(text)[0]
    else:
        load(text, {}, {})


def test_warnings_say_what_is_hardly_meant(schemas: Mapping[str, PluginSchema]) -> None:
    text = """\
listeners: [{address: 127.0.0.1:8080}]
clusters:
  far: {endpoints: ["http://10.0.0.1:1", "http://127.0.0.1:1"], credential: env:TOKEN}
  unchecked: {endpoints: ["https://10.0.0.1"], tls: {verify: false}}
  unused: {endpoints: ["http://10.0.0.1:1"]}
models: {auto: {targets: [far]}}
plugins: {per_key: {use: rate_limit, rate: 1/s}, unused: {use: rate_limit, rate: 1/s}}
routes:
  - match: {path: /a}
    targets: [far, unchecked]
    stages: {ratelimit: [per_key]}
    plugins: {per_key: {cost: 2}}
  - match: {path: /b}
    targets: [far]
    plugins: {per_key: {cost: 2}}
"""
    assert [str(warning) for warning in check(text, schemas, {"TOKEN": "t"}).warnings] == [
        "<text>:3:21: clusters.far.endpoints[0]: the credential goes over the network unencrypted, wanted `https`",
        "<text>:4:62: clusters.unchecked.tls.verify: certificates are not checked: anybody on the way can answer",
        "<text>:5:11: clusters.unused: no target names this cluster",
        "<text>:6:9: models: no route has a plugin in its stage `route` that could lead here",
        "<text>:7:58: plugins.unused: no route has this plugin in a stage",
        "<text>:15:24: routes[1].plugins.per_key: the route has this plugin in no stage",
    ]
    assert check(BASE, schemas, {}).warnings == ()


def test_a_timeout_counts_against_the_deadline_where_it_is_written_be_it_the_default() -> None:
    text = BASE.replace("]}}", "], timeouts: {head: 1m}}}").replace("targets:", "deadline: 1m, targets:")
    assert load(text, {}, {}).routes[0].deadline == 60.0  # that to connect is 2s, too, but cut to fit
    assert errors_of(text.replace("head: 1m", "connect: 2s, head: 1m")) == [
        "<text>:3:39: routes[0].deadline: the timeouts of `service` add up to 62s, wanted a deadline of at least that, "
        "or shorter timeouts"
    ]


def test_thousand_routes_load_fast() -> None:
    route = (
        "  - match: {{path: '/v1/{0}/{{id}}', methods: [GET, POST]}}\n    kind: inference\n    targets: [service/m]\n"
    )
    text = BASE.replace("routes: [{match: {path: /}, targets: [service]}]\n", "routes:\n")
    text += "".join(route.format(i) + "    deadline: 5m\n    retry: {attempts: 3}\n" for i in range(1000))
    load(BASE, {}, {})
    before = time.process_time()
    config = load(text, {}, {})
    assert len(config.routes) == 1000
    assert time.process_time() - before < 2.0  # about 0.25 s on an idle machine
