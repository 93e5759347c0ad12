from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpuwatch.environment import check_token_is_in_use, unknown_variables, warnings_about
from cpuwatch.errors import SettingsError
from cpuwatch.settings import VARIABLES, Settings
from cpuwatch.token_file import Token

SERVICE_NAMES = ["CPUWATCH", "CPUWATCH_METRICS", "CPUWATCH_TOKEN_FILE", "CPUWATCH_2"]


def kubernetes(service: str, protocol: str = "TCP") -> dict[str, str]:
    """Return the variables that Kubernetes sets for a Service (pkg/kubelet/envvars/envvars.go)."""
    url = f"{protocol.lower()}://10.96.3.7:8845"
    return {
        f"{service}_SERVICE_HOST": "10.96.3.7",
        f"{service}_SERVICE_PORT": "8845",
        f"{service}_SERVICE_PORT_HTTP_METRICS": "8845",
        f"{service}_PORT": url,
        f"{service}_PORT_8845_{protocol}": url,
        f"{service}_PORT_8845_{protocol}_PROTO": protocol.lower(),
        f"{service}_PORT_8845_{protocol}_PORT": "8845",
        f"{service}_PORT_8845_{protocol}_ADDR": "10.96.3.7",
    }


def docker_link(alias: str) -> dict[str, str]:
    """Return the variables that ``docker run --link`` sets (daemon/links/links.go)."""
    return {
        f"{alias}_NAME": "/web/cpuwatch",
        f"{alias}_ENV_CPUWATCH_INTERVAL": "5",
        f"{alias}_ENV_PATH": "/bin",
        f"{alias}_PORT": "tcp://172.17.0.5:8845",
        f"{alias}_PORT_8845_TCP_START": "tcp://172.17.0.5:8845",
        f"{alias}_PORT_8845_TCP_PORT_START": "8845",
        f"{alias}_PORT_8846_TCP_END": "tcp://172.17.0.5:8846",
        f"{alias}_PORT_8846_TCP_PORT_END": "8846",
    }


@pytest.mark.parametrize("service", SERVICE_NAMES)
@pytest.mark.parametrize("protocol", ["TCP", "UDP", "SCTP"])
def test_service_links_of_kubernetes_are_ignored(service: str, protocol: str) -> None:
    environment = kubernetes(service, protocol)
    assert unknown_variables(environment) == {}
    assert warnings_about(environment) == []
    check_token_is_in_use(environment, Settings.from_environment(environment))


@pytest.mark.parametrize("alias", SERVICE_NAMES)
def test_links_of_docker_are_ignored(alias: str) -> None:
    environment = docker_link(alias)
    assert unknown_variables(environment) == {}
    assert Settings.from_environment(environment) == Settings()


def test_no_setting_has_a_name_that_a_link_may_have() -> None:
    # Otherwise a service with the wrong name would configure the containers beside it.
    for service in SERVICE_NAMES:
        assert not VARIABLES.keys() & (kubernetes(service).keys() | docker_link(service).keys())
    for setting in VARIABLES:
        assert not setting.endswith(("_PORT", "_HOST", "_ADDR", "_PROTO", "_NAME"))


@pytest.mark.parametrize(
    ("variable", "text", "nearest"),
    [
        ("CPUWATCH_INTERVALL", "1", "CPUWATCH_INTERVAL"),
        ("CPUWATCH_interval", "1", "CPUWATCH_INTERVAL"),
        ("CPUWATCH_LOGFORMAT", "json", "CPUWATCH_LOG_FORMAT"),
        ("CPUWATCH_TOKEN_FIEL", "/x", "CPUWATCH_TOKEN_FILE"),
        ("CPUWATCH_CORS_ORIGIN", "*", "CPUWATCH_CORS_ORIGINS"),
        ("CPUWATCH_VERSION", "1.0", None),
        # These have the name of a link, but not its value.
        ("CPUWATCH_PORT", "8845", None),
        ("CPUWATCH_NAME", "node-1", None),
        ("CPUWATCH_PORT_8845", "8845", None),
        ("CPUWATCH_", "1", None),
    ],
)
def test_an_unknown_variable_is_named_with_the_setting_of_the_nearest_name(
    variable: str, text: str, nearest: str | None
) -> None:
    assert unknown_variables({variable: text, "PATH": "/bin"}) == {variable: nearest}
    (warning,) = warnings_about({variable: text})
    assert warning.startswith(f"{variable} is not a setting")
    for setting in [nearest] if nearest else VARIABLES:
        assert setting in warning


@given(st.dictionaries(st.text(string.ascii_letters + "_=", min_size=1), st.text()))
def test_only_variables_with_the_prefix_are_considered(environment: dict[str, str]) -> None:
    assert unknown_variables({f"X{name}": text for name, text in environment.items()}) == {}
    prefixed = {f"CPUWATCH_{name}": text for name, text in environment.items()}
    assert unknown_variables(prefixed).keys() <= prefixed.keys() - VARIABLES.keys()


@pytest.mark.parametrize(
    "variable",
    ["CPUWATCH_TOKEN_FIEL", "CPUWATCH_TOEKN", "CPUWATCH_token_file", "CPUWATCH_API_TOKEN", "CPUWATCH_PASSWORD"],
)
def test_a_misspelled_token_does_not_open_the_service(variable: str) -> None:
    with pytest.raises(SettingsError, match=rf"^{variable} is not a setting.*CPUWATCH_TOKEN_FILE") as caught:
        check_token_is_in_use({variable: "correct-horse"}, Settings())
    assert "correct-horse" not in str(caught.value)
    check_token_is_in_use({variable: "correct-horse"}, Settings(token=Token(b"0123456789abcdef")))


@pytest.mark.parametrize("variable", ["CPUWATCH_TOKEN", "CPUWATCH_TOKEN_FILE"])
def test_an_empty_token_does_not_open_the_service(variable: str) -> None:
    with pytest.raises(SettingsError, match=rf"^{variable} is empty"):
        check_token_is_in_use({variable: ""}, Settings())
    check_token_is_in_use({variable: ""}, Settings(token=Token(b"0123456789abcdef")))


def test_other_mistakes_open_nothing() -> None:
    check_token_is_in_use({"CPUWATCH_INTERVALL": "1", "CPUWATCH_VERSION": "2"}, Settings())
