from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpuwatch.redact import MASK, masked_command_line

SECRET = "s3cr3t"  # noqa: S105  none of anybody

SHOWN = [
    ([], ""),
    ([""], ""),
    (["prog", "--password=s3cr3t", "x"], "prog --password=*** x"),
    (["prog", "--password=s3cr3t with blanks", "x"], "prog --password=*** x"),
    (["prog", "--password", "s3cr3t", "x"], "prog --password *** x"),
    (["prog", "-password", "s3cr3t"], "prog -password ***"),
    (["prog", "--token", "-s3cr3t"], "prog --token ***"),
    (["prog", "--api-key:s3cr3t"], "prog --api-key:***"),
    (["prog", "/password:s3cr3t"], "prog /password:***"),
    (["env", "DB_PASSWORD=s3cr3t", "prog"], "env DB_PASSWORD=*** prog"),
    (["docker", "run", "-e", "AWS_SECRET_ACCESS_KEY=s3cr3t"], "docker run -e AWS_SECRET_ACCESS_KEY=***"),
    (["java", "-Dspring.datasource.password=s3cr3t"], "java -Dspring.datasource.password=***"),
    (["mysql", "-uroot", "-ps3cr3t", "db"], "mysql -uroot -p*** db"),
    (["sudo", "/usr/bin/mysqldump", "-ps3cr3t"], "sudo /usr/bin/mysqldump -p***"),
    (["mysql", "-p", "db"], "mysql -p db"),
    (["sshpass", "-p", "s3cr3t", "ssh", "host"], "sshpass -p *** ssh host"),
    (["redis-cli", "-a", "s3cr3t", "ping"], "redis-cli -a *** ping"),
    (["curl", "-u", "bob:s3cr3t", "http://host/"], "curl -u *** http://host/"),
    (["curl", "-ubob:s3cr3t", "http://host/"], "curl -u*** http://host/"),
    (["curl", "https://bob:s3cr3t@host/x"], "curl https://bob:***@host/x"),
    (["curl", "https://bob:s3@cr3t@host/x"], "curl https://bob:***@host/x"),
    (["prog", "--db=postgres://u:s3cr3t@host/db"], "prog --db=postgres://u:***@host/db"),
    (["git", "clone", f"https://{SECRET * 4}@host/x"], "git clone https://***@host/x"),
    (["curl", "http://host/?token=s3cr3t"], "curl http://host/?token=***"),
    (["curl", "-H", "Authorization: Bearer s3cr3t", "http://h/"], "curl -H Authorization: *** http://h/"),
    (["curl", "-H", "Authorization:", "Bearer", "s3cr3t"], "curl -H Authorization: Bearer ***"),
    (["curl", "-H", "Cookie: a=b; sid=s3cr3t"], "curl -H Cookie: ***"),
    (["prog", '{"user":"u","password":"s3cr3t"}'], 'prog {"user":"u","password":***'),
    (["prog", "host=h password=s3cr3t user=u"], "prog host=h password=*** user=u"),
    (["sh", "-c", "mysql -ps3cr3t db; date"], "sh -c mysql -p*** db; date"),
    (["sh", "-c", "a --password='s3cr3t x' b"], "sh -c a --password=*** b"),
    (["sh", "-c", "a --password='s3cr3t x"], "sh -c a --password=***"),
    (["sh", "-c", "bash -c 'mysql -ps3cr3t'"], "sh -c bash -c 'mysql -p***"),
    (["prog", "ghp_0123456789abcdefghij"], "prog ***"),
]

HARMLESS = [
    ["python", "-m", "http.server", "--port", "8080"],
    ["/usr/sbin/sshd", "-D"],
    ["ssh", "-p8080", "git@host"],
    ["passwd", "bob"],
    ["postgres: writer process"],
    ["vim", "tokenizer.py", "/home/token/file"],
    ["sh", "-c", "make -j4 && ./run --bind :8845 'a b'"],
    ["curl", "http://host:8845/cpu_usage?top=3"],
]

# Text that cannot be part of anything else in the line.
secrets = st.text("0123456789abcdefghijklmnop+/_-", min_size=4, max_size=40).map("Q%sQ".__mod__)
words = st.text(max_size=12).filter(lambda text: "Q" not in text)


@pytest.mark.parametrize(("arguments", "shown"), SHOWN)
def test_secrets_are_masked_and_the_rest_is_kept(arguments: list[str], shown: str) -> None:
    assert masked_command_line(arguments) == shown


@pytest.mark.parametrize("arguments", HARMLESS)
def test_arguments_without_secrets_are_unchanged(arguments: list[str]) -> None:
    assert masked_command_line(arguments) == " ".join(arguments)


@given(
    st.lists(words, max_size=4),
    secrets,
    st.sampled_from(
        [
            ["--password={}"],
            ["--db-password", "{}"],
            ["-token", "{}"],
            ["API_KEY={}"],
            ["--client.secret={} and more"],
            ["Authorization: Bearer {}"],
            ["--header", "X-Auth-Token: {}"],
            ["mysql", "-p{}"],
            ["sshpass", "-p", "{}"],
            ["https://user:{}@host/path"],
            ["http://host/?a=1&access_token={}"],
            ["sh", "-c", "prog --password {} x"],
            ["sh", "-c", "prog --password '{}' x"],
            ["sh", "-c", "TOKEN={} prog"],
            ['{{"password": "{}"}}'],
        ]
    ),
    st.lists(words, max_size=4),
)
def test_no_marked_secret_is_shown(before: list[str], secret: str, form: list[str], after: list[str]) -> None:
    given_away = [part.format(secret) for part in form]
    # An option may take the next argument as its value, and a value of "-H" may name a secret: then more is masked.
    shown = masked_command_line(["prog", *before, "--", *given_away, *after])
    assert secret not in shown
    assert MASK in shown or shown.endswith("...")


@given(st.lists(st.text(), max_size=30) | st.lists(st.text("'\"\\ =:/@-pastokenwrd{},.?&\n", max_size=600), max_size=4))
def test_the_length_is_limited_for_any_arguments(arguments: list[str]) -> None:
    assert len(masked_command_line(arguments)) <= 1024 + len("...")


@given(st.integers(1000, 1100), secrets)
def test_a_truncated_secret_is_not_shown(length: int, secret: str) -> None:
    shown = masked_command_line(["prog", "x" * (length - 40), f"https://user:{secret}@host/"])
    assert secret[:3] not in shown


@pytest.mark.parametrize("quote", ["'", '"', "'\"", "\"' "])
def test_commands_nested_too_deeply_are_masked(quote: str) -> None:
    assert SECRET not in masked_command_line(["sh", "-c", quote * 200 + " mysql -ps3cr3t"])
