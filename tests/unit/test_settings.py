"""Reading the configuration: YAML, variables, overrides, errors with their places."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import SecretStr

from listener.config import Config, ElasticsearchConfig, PostgresConfig
from listener.config.settings import (
    ConfigError,
    check_files,
    config_path,
    load,
    misspelt,
    options,
    secret,
)
from tests.kit.users import ordinary_user

MINIMAL = """\
pipeline: movies
postgres:
  dbname: movies
  user: listener
documents:
  - index: movies
    index_config_file: index.json
    query_file: film.sql
    table: content.film_work
    key: id
    watch:
      - table: content.film_work
        key: id
"""

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write config.yaml, the files that it names beside it, and say where it is."""
    (tmp_path / "index.json").write_text('{"mappings": {}}')
    (tmp_path / "film.sql").write_text("SELECT 1")

    def write_it(text: str) -> Path:
        path = tmp_path / "config.yaml"
        path.write_text(text, "utf-8")
        return path

    return write_it


def refusal(path: Path, env: dict[str, str] | None = None) -> str:
    """The message of the error; the whole traceback must show no secret either."""
    with pytest.raises(ConfigError) as caught:
        load(path, env or {})
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert "hunter2" not in shown
    return str(caught.value)


def test_a_small_file_and_its_defaults(write: Write, tmp_path: Path) -> None:
    """What is left out has the documented default; paths come back absolute."""
    config = load(write(MINIMAL), {})
    assert config.fetch_delay == 1
    assert config.postgres.host == ("127.0.0.1",)
    assert config.postgres.port == (5432,)
    assert config.state_file_name == tmp_path / "state/state.yaml"
    assert config.documents[0].query_file == tmp_path / "film.sql"
    assert config.documents[0].key == ("id",)
    assert config.documents[0].watch[0].notify == "rows"


def test_paths_start_at_the_folder_of_the_file(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at the current directory; absolute ones stay."""
    write(MINIMAL + "state_file_name: /var/lib/listener/state.yaml\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    config = load(Path("../config.yaml"), {})
    assert config.state_file_name == Path("/var/lib/listener/state.yaml")
    assert config.documents[0].query_file.read_text() == "SELECT 1"
    assert config.documents[0].query_file.is_absolute()


def test_text_stays_what_it_looks_like(write: Write) -> None:
    """`off`, `on` and numbers with leading zeros are not turned into something else."""
    text = MINIMAL.replace("dbname: movies", "dbname: 0123\n  password: 1_000")
    text = text.replace("        key: id\n", "        key: on\n        notify: off\n")
    config = load(write(text), {})
    assert config.postgres.dbname == "0123"
    assert secret(config.postgres.password, None) == "1_000"
    assert config.documents[0].watch[0].key == ("on",)
    assert config.documents[0].watch[0].notify == "off"


def test_variables_are_filled_in_for_every_kind_of_option(write: Write) -> None:
    """Text, integer, float, boolean, list."""
    text = (
        MINIMAL.replace("user: listener", "user: ${ROLE}\n  host: ${HOSTS}\n  port: ${PORT:-5433}")
        + "fetch_delay: ${DELAY}\ntriggers:\n  no_2pc: ${NO2PC}\npage_size: ${PAGE:-12}\n"
        + 'kibana:\n  url: "http://${KIBANA_HOST:-localhost}:5601/$$base/"\n'
    )
    env = {"ROLE": "ro${x}le", "HOSTS": "a, b", "DELAY": "0.5", "NO2PC": "true", "PAGE": ""}
    config = load(write(text), env)
    assert config.postgres.user == "ro${x}le"  # what a variable holds is not looked into
    assert config.postgres.host == ("a", "b")
    assert config.postgres.port == (5433,)
    assert config.fetch_delay == 0.5
    assert config.triggers.no_2pc is True
    assert config.page_size == 12  # `:-` also stands in for an empty value
    assert config.kibana.url == "http://localhost:5601/$base"


def test_env_file_beside_the_config_file(write: Write, tmp_path: Path) -> None:
    """The environment wins over it; its values are taken as they stand."""
    (tmp_path / ".env").write_text(
        "# comment\nexport ROLE='from file'\nDB=\"d b\"\nPASS='a${ROLE}$b'\nLISTENER_OVERLAP=7\n"
    )
    text = MINIMAL.replace("user: listener", "user: ${ROLE}\n  password: ${PASS}").replace(
        "dbname: movies", "dbname: ${DB}"
    )
    config = load(write(text), {"ROLE": "from environment"})
    assert config.postgres.user == "from environment"
    assert config.postgres.dbname == "d b"
    assert secret(config.postgres.password, None) == "a${ROLE}$b"
    assert config.overlap == 7


def test_a_broken_env_file_is_an_error(write: Write, tmp_path: Path) -> None:
    """A line that cannot be read is not skipped."""
    (tmp_path / ".env").write_text("A=1\nB='hunter2\nC=3\n")
    assert f"{tmp_path}/.env: line 2: write NAME=value" in refusal(write(MINIMAL))


@pytest.mark.parametrize("unreadable", [b"A=\xff", None])
def test_an_env_file_that_cannot_be_read(
    write: Write, tmp_path: Path, unreadable: bytes | None
) -> None:
    """It is not taken for one that is not there: its values would be missed."""
    if unreadable is None:
        (tmp_path / ".env").mkdir()
    else:
        (tmp_path / ".env").write_bytes(unreadable)
    reason = "Is a directory" if unreadable is None else "it is not UTF-8"
    assert f"{tmp_path}/.env: cannot read it: {reason}" in refusal(write(MINIMAL))


def test_an_unset_variable_is_an_error_with_its_name_and_place(write: Write) -> None:
    """All of them at once, and nothing else is said about their places."""
    text = MINIMAL.replace("user: listener", "user: ${ROLE}\n  port: ${PORT}").replace(
        "table: content.film_work\n        key: id", "table: ${TABLE}\n        key: [a, '${KEY}']"
    )
    assert refusal(write(text)).splitlines()[1:] == [
        "  line 4: postgres.user: the variable ROLE is not set",
        "  line 5: postgres.port: the variable PORT is not set",
        "  line 13: documents[0].watch[0].table: the variable TABLE is not set",
        "  line 14: documents[0].watch[0].key[1]: the variable KEY is not set",
    ]


@pytest.mark.parametrize("text", ["${", "${}", "${1A}", "${A", "${A:-$B}", "${A:-${B}}", "${A-b}"])
def test_a_malformed_variable_is_an_error(write: Write, text: str) -> None:
    """It never reaches a server as text."""
    message = refusal(write(MINIMAL.replace("user: listener", f"user: '{text}'")))
    assert "postgres.user: write ${NAME} or ${NAME:-default}; $$ stands for $" in message


def test_every_error_at_once_with_its_place(write: Write) -> None:
    """Unknown keys (with a guess), wrong types, missing options, models that do not agree."""
    text = """\
pipelin: movies
fetch_delay: soon
overlap: -1
postgres:
  dbname: movies
  user: listener
  password: hunter2
  pasword_file: x
  sslmode: on
elasticsearch:
  urls: http://elastic:hunter2@localhost:9200
  request_timeout: .inf
kibana: hunter2
documents:
  - index: Movies
    index_config_file: index.json
    query_file: nowhere.sql
    table: a.b.c
    key: id
    watch:
      - table: content.film_work
        key:
      - {}
  - watch: hunter2
"""
    assert refusal(write(text)).splitlines()[1:] == [
        "  pipeline: it is missing",
        "  line 1: pipelin: there is no such option; did you mean pipeline?",
        "  line 2: fetch_delay: it should be a valid number, unable to parse string as a number",
        "  line 3: overlap: it should be greater than or equal to 0",
        "  line 8: postgres.pasword_file: there is no such option; did you mean password_file?",
        "  line 9: postgres.sslmode: it should be 'disable', 'allow', 'prefer', 'require', "
        "'verify-ca' or 'verify-full'",
        "  line 11: elasticsearch.urls: write user and password as options, not into the URL",
        "  line 12: elasticsearch.request_timeout: it should be a valid number, unable to parse "
        "string as a number",
        "  line 13: kibana: it should be a section with options",
        "  line 15: documents[0].index: it should match pattern '^[a-z0-9][a-z0-9_-]{0,99}$'",
        "  line 18: documents[0].table: it has 3 parts: write schema.table",
        "  line 22: documents[0].watch[0].key: it has no value",
        "  line 23: documents[0].watch[1].table: it is missing",
        "  line 23: documents[0].watch[1].key: it is missing",
        "  line 24: documents[1].table: it is missing",
        "  line 24: documents[1].key: it is missing",
        "  line 24: documents[1].index: it is missing",
        "  line 24: documents[1].index_config_file: it is missing",
        "  line 24: documents[1].query_file: it is missing",
        "  line 24: documents[1].watch: it should be a list",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it holds no options"),
        ("# nothing\n", "it holds no options"),
        ("- a\n", "it is no list of `name: value`"),
        ("a: 1\n---\nb: 2\n", "line 2: but found another document"),
        ("a: [1\nb: 2\n", "line 2: expected ',' or ']', but got ':'"),
        ("a:\n  b: hunter2: 3\n", "line 2: mapping values are not allowed here"),
        ("password: *hunter2\n", "line 1: found undefined alias"),
        ('password: "hunter2\n', "line 2: found unexpected end of stream"),
        ('password: "\\hunter2"\n', "line 1: found unknown escape character"),
        ("a: \0\n", "it is not YAML"),
        ("[" * 5000, "it is not YAML"),
    ],
)
def test_what_is_no_yaml_is_refused(write: Write, text: str, message: str) -> None:
    """With the line, without the text that stands there."""
    assert message in refusal(write(text))


def test_duplicate_keys_are_refused(write: Write) -> None:
    """YAML's own loader would let the last one win."""
    text = MINIMAL + "fetch_delay: 1\npostgres:\n  dbname: other\nfetch_delay: 2\n"
    assert refusal(write(text)).splitlines()[1:] == [
        "  line 15: postgres: it stands twice, first in line 2",
        "  line 17: fetch_delay: it stands twice, first in line 14",
    ]


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("logging: !!python/object/apply:os.system [hunter2]\n", "logging: tags (!name)"),
        ("logging:\n  level: !secret hunter2\n", "logging.level: tags (!name)"),
        ("logging: &a\n  level: *a\n", "logging.level: it contains itself"),
        ("? [a]\n: b\n", "a name of an option is one word"),
    ],
)
def test_what_yaml_can_do_beyond_plain_values_is_refused(
    write: Write, extra: str, message: str
) -> None:
    """No objects, no loops."""
    assert message in refusal(write(MINIMAL + extra))


def test_anchors_work(write: Write) -> None:
    """The same list in two places."""
    text = MINIMAL.replace("key: id\n    watch:", "key: &key [a, b]\n    watch:").replace(
        "        key: id\n", "        key: *key\n"
    )
    assert load(write(text), {}).documents[0].watch[0].key == ("a", "b")


def test_files_that_cannot_be_read(tmp_path: Path, write: Write) -> None:
    """The file itself: missing, a folder, not UTF-8."""
    assert "there is no such file; name it by --config or LISTENER_CONFIG" in refusal(
        tmp_path / "other.yaml"
    )
    assert "cannot read it: Is a directory" in refusal(tmp_path)
    path = write(MINIMAL)
    path.write_bytes(b"a: \xff\n")
    assert "it is not UTF-8 (byte 3)" in refusal(path)


def test_a_bom_does_not_matter(write: Write) -> None:
    """Editors put one there."""
    assert load(write("\ufeff" + MINIMAL), {}).pipeline == "movies"


def test_empty_values(write: Write) -> None:
    """Empty counts as left out where an option may be none, and is an error elsewhere."""
    text = MINIMAL.replace("user: listener", "user: listener\n  password: ${PW:-}") + (
        "elasticsearch:\n  user: ${U:-}\n  password: ''\nkibana:\nlogging:\n"
    )
    config = load(write(text), {})
    assert config.postgres.password is None
    assert config.elasticsearch.user is None
    assert config.kibana.time_field == "updated_at"
    assert load(write(MINIMAL + "kibana: {time_field: null}\n"), {}).kibana.time_field is None
    assert load(write(MINIMAL + "kibana: {time_field: ''}\n"), {}).kibana.time_field is None
    assert "postgres.user" in refusal(write(MINIMAL.replace("user: listener", "user: ''")))
    assert "postgres.host" in refusal(write(MINIMAL.replace("user: l", "host: ''\n  user: l")))
    assert "fetch_delay: it has no value" in refusal(write(MINIMAL + "fetch_delay:\n"))


def test_variables_override_the_file(write: Write) -> None:
    """Precedence: environment, file, default. Lists are comma separated."""
    text = MINIMAL + "fetch_delay: 2\noverlap: 3\nelasticsearch: {urls: 'http://a:1'}\n"
    env = {
        "LISTENER_FETCH_DELAY": "0.25",
        "LISTENER_OVERLAP": "",
        "LISTENER_POSTGRES_HOST": "db1,db2",
        "LISTENER_POSTGRES_PORT": "5432,5433",
        "LISTENER_POSTGRES_SCHEMA": "other",
        "LISTENER_ELASTICSEARCH_URLS": "http://b:1, http://c:2",
        "LISTENER_TRIGGERS_NO_2PC": "yes",
        "LISTENER_LOGGING_FORMAT": "json",
        "LISTENER_STATE_FILE_NAME": "s/x.yaml",
    }
    path = write(text)
    config = load(path, env)
    assert config.fetch_delay == 0.25
    assert config.overlap == 3
    assert config.postgres.host == ("db1", "db2")
    assert config.postgres.port == (5432, 5433)
    assert config.postgres.db_schema == "other"
    assert config.elasticsearch.urls == ("http://b:1", "http://c:2")
    assert config.triggers.no_2pc is True
    assert config.logging.format == "json"
    assert config.state_file_name == path.parent / "s/x.yaml"


def test_an_override_wins_over_the_other_form_and_over_a_missing_variable(write: Write) -> None:
    """A password from outside replaces whatever the file says about the password."""
    text = MINIMAL.replace("user: l", "password: ${NOWHERE}\n  user: l")
    config = load(write(text), {"LISTENER_POSTGRES_PASSWORD": "hunter2"})
    assert secret(config.postgres.password, config.postgres.password_file) == "hunter2"
    config = load(write(text), {"LISTENER_POSTGRES_PASSWORD_FILE": "pw"})
    assert config.postgres.password is None
    filed = MINIMAL.replace("user: l", "password_file: /nowhere\n  user: l")
    config = load(write(filed), {"LISTENER_POSTGRES_PASSWORD": "hunter2"})
    assert secret(config.postgres.password, config.postgres.password_file) == "hunter2"
    both = {"LISTENER_POSTGRES_PASSWORD": "hunter2", "LISTENER_POSTGRES_PASSWORD_FILE": "pw"}
    assert "postgres: give password or password_file, not both" in refusal(write(text), both)


def test_errors_of_an_override_name_the_variable(write: Write) -> None:
    """Not a line of a file in which it does not stand."""
    env = {"LISTENER_FETCH_DELAY": "hunter2", "LISTENER_POSTGRES_PORT": "5432,hunter2"}
    message = refusal(write(MINIMAL), env)
    assert "\n  LISTENER_FETCH_DELAY: it should be a valid number" in message
    assert "\n  LISTENER_POSTGRES_PORT: it should be a valid integer" in message
    broken = MINIMAL.replace("postgres:\n  dbname: movies\n  user: listener", "postgres: x")
    assert "postgres: it should be a section with options" in refusal(write(broken), env)


def test_each_variable_reaches_its_option(write: Write) -> None:
    """Nonsense in any of them is either refused by its name or stands in the configuration."""
    path = write(MINIMAL)
    for option in options():
        if option.variable is None:
            assert option.path.startswith("documents[]")
            continue
        env = {option.variable: "!"}
        if option.path in ("elasticsearch.user", "elasticsearch.ca_certs"):
            env |= {"LISTENER_ELASTICSEARCH_PASSWORD": "x", "LISTENER_ELASTICSEARCH_USER": "!"}
            env |= {"LISTENER_ELASTICSEARCH_URLS": "https://a:1"}
        if option.path.startswith("elasticsearch.password"):
            env |= {"LISTENER_ELASTICSEARCH_USER": "x"}
        try:
            config = load(path, env)
        except ConfigError as error:
            assert [one.variable for one in error.problems] == [option.variable]  # noqa: PT017
        else:
            value: object = config
            for name in option.path.replace("schema", "db_schema").split("."):
                value = getattr(value, name)
            value = value.get_secret_value() if isinstance(value, SecretStr) else value
            assert value in ("!", ("!",), path.parent / "!")


def test_misspelt_variables(write: Write) -> None:
    """Near misses only; what the file uses, and what Kubernetes sets, is meant."""
    path = write(MINIMAL + "logging: {format: '${LISTENER_LOG_FORMAT:-text}'}\n")
    env = dict.fromkeys(
        [
            "LISTENER_FETCHDELAY",
            "LISTENER_LOG_FORMAT",
            "LISTENER_SERVICE_HOST",
            "LISTENER_PORT_9200_TCP_ADDR",
            "LISTENER_OVERLAP",
            "LISTENER_CONFIG",
            "HOME",
        ],
        "x",
    )
    assert misspelt(path, env) == {"LISTENER_FETCHDELAY": "LISTENER_FETCH_DELAY"}


def test_config_path() -> None:
    """Argument, variable, default."""
    assert config_path(Path("a"), {"LISTENER_CONFIG": "b"}) == Path("a")
    assert config_path(None, {"LISTENER_CONFIG": "b"}) == Path("b")
    assert config_path(None, {"LISTENER_CONFIG": ""}) == Path("config.yaml")
    assert config_path(None, {}) == Path("config.yaml")


def test_secrets(tmp_path: Path) -> None:
    """From the value or from a file, whose last line's end is no part of it."""
    file = tmp_path / "password"
    assert secret(None, None) is None
    assert secret(SecretStr(" a\n"), None) == " a\n"
    for content in ("hunter2 ", "hunter2 \n", "hunter2 \r\n"):
        file.write_bytes(content.encode())
        assert secret(None, file) == "hunter2 "
    file.write_text("a\n\n")
    assert secret(None, file) == "a\n"


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff"])
def test_a_secret_that_cannot_be_read(tmp_path: Path, content: bytes | None) -> None:
    """The file is named."""
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=f"{file}: .*secret"):
        secret(None, file)


@pytest.mark.parametrize("content", [None, "a folder", b"", b"\xff\xfe garbage", b"-----BEGIN"])
@pytest.mark.parametrize("option", ["postgres.sslrootcert", "elasticsearch.ca_certs"])
def test_certificates_that_cannot_be_used(
    tmp_path: Path, option: str, content: bytes | str | None
) -> None:
    """Missing, a folder, empty, or no PEM: told with the path, before anything begins."""
    path = tmp_path / "ca.pem"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        path.mkdir()
    section = (
        PostgresConfig(dbname="d", user="u", sslrootcert=path)
        if option.startswith("postgres")
        else ElasticsearchConfig(urls=("https://e:9200",), ca_certs=path)
    )
    with pytest.raises(ConfigError) as caught:
        check_files(section)
    assert caught.value.path == path
    assert str(caught.value).startswith(f"{path}: ")


def test_secrets_that_are_missing(tmp_path: Path) -> None:
    """Each of the three files is looked at."""
    path = tmp_path / "secret"
    for section in (
        PostgresConfig(dbname="d", user="u", password_file=path),
        ElasticsearchConfig(user="u", password_file=path),
        ElasticsearchConfig(api_key_file=path),
    ):
        path.unlink(missing_ok=True)
        with pytest.raises(ConfigError, match="cannot read the secret"):
            check_files(section)
        path.write_bytes(b"\xef\xbb\xbfa secret\r\n")
        check_files(section)
    assert secret(None, path) == "a secret"
    path.write_bytes(b"a\0secret")
    with pytest.raises(ConfigError, match="NUL byte") as caught:
        secret(None, path)
    assert "a\0" not in str(caught.value)


def test_permission_denied() -> None:
    """Said as it is."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        path = folder / "config.yaml"
        path.write_text(MINIMAL)
        path.chmod(0)
        with ordinary_user():
            assert f"{path}: cannot read it: Permission denied" in refusal(path)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=300))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_read_or_refused(write: Write, text: str) -> None:
    """Nothing but ConfigError ever comes out."""
    path = write("")
    path.write_text(MINIMAL + text, "utf-8")
    try:
        assert isinstance(load(path, {}), Config)
    except ConfigError as error:
        assert error.problems  # noqa: PT017
