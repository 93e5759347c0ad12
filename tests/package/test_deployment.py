"""The files in deploy/ and .github/, checked by the tools of their formats as far as these run without a network."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.timeout(120)

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
SCRIPTS = Path(sys.executable).parent


def checked(*command: str | Path, **options: Any) -> str:
    """Run the command, and return its output, which explains a failure."""
    done: subprocess.CompletedProcess[str]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def objects() -> Iterator[dict[str, Any]]:
    """Return the objects of the kustomization."""
    kustomization = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
    for name in kustomization["resources"]:
        yield from yaml.safe_load_all((KUBERNETES / name).read_text())


def object_of(kind: str) -> dict[str, Any]:
    (found,) = (found for found in objects() if found["kind"] == kind)
    return found


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "workflows").glob("*.yml")), ids=lambda path: path.name)
def test_a_workflow_has_the_schema_of_workflows(path: Path) -> None:
    checked(SCRIPTS / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", path)


def test_the_dockerfile_has_no_findings() -> None:
    assert checked(SCRIPTS / "hadolint", DEPLOY / "container" / "Dockerfile") == ""


@pytest.mark.parametrize("version", ["1.28", "1.34"])
def test_the_objects_have_the_schemas_of_kubernetes(version: str) -> None:
    kustomization = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
    assert {path.name for path in KUBERNETES.iterdir()} == {*kustomization["resources"], "kustomization.yaml"}
    # The schema of a ServiceMonitor is not among those of Kubernetes.
    paths = [KUBERNETES / name for name in kustomization["resources"] if name != "servicemonitor.yaml"]
    checked(SCRIPTS / "kubernetes-validate", "--strict", "-k", version, *paths)


def test_the_selectors_match_the_pods() -> None:
    pod = object_of("DaemonSet")["spec"]["template"]
    labels = pod["metadata"]["labels"].items()
    assert object_of("DaemonSet")["spec"]["selector"]["matchLabels"].items() <= labels
    assert object_of("Service")["spec"]["selector"].items() <= labels
    assert object_of("NetworkPolicy")["spec"]["podSelector"]["matchLabels"].items() <= labels
    monitor = object_of("ServiceMonitor")["spec"]
    assert monitor["selector"]["matchLabels"].items() <= object_of("Service")["metadata"]["labels"].items()
    (container,) = pod["spec"]["containers"]
    ports = {port["name"] for port in container["ports"]}
    assert {endpoint["port"] for endpoint in monitor["endpoints"]} <= ports
    assert {port["targetPort"] for port in object_of("Service")["spec"]["ports"]} <= ports


def test_the_pods_have_no_privilege_but_see_all_processes() -> None:
    spec = object_of("DaemonSet")["spec"]["template"]["spec"]
    assert (spec["hostPID"], spec["automountServiceAccountToken"]) == (True, False)
    assert spec["securityContext"]["runAsNonRoot"]
    (container,) = spec["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {found["kind"] for found in objects()}.isdisjoint({"Role", "ClusterRole", "ServiceAccount"})


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that exists."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    text = (DEPLOY / "systemd" / "cpuwatch.service").read_text()
    assert "ExecStart=/opt/cpuwatch/bin/cpuwatch " in text
    path = tmp_path / "cpuwatch.service"
    path.write_text(text.replace("/opt/cpuwatch/bin/cpuwatch", str(SCRIPTS / "cpuwatch")))
    return path


def test_systemd_reports_no_problems_of_the_unit(unit: Path) -> None:
    assert checked("systemd-analyze", "verify", "--man=no", unit) == ""


def test_systemd_rates_the_unit_as_safe(unit: Path) -> None:
    checked("systemd-analyze", "security", "--offline=yes", "--threshold=20", unit)


def test_the_unit_hides_no_processes() -> None:
    lines = (DEPLOY / "systemd" / "cpuwatch.service").read_text().splitlines()
    names = {line.partition("=")[0] for line in lines}
    assert names.isdisjoint({"ProtectProc", "ProcSubset", "PrivateUsers", "PrivateNetwork", "PrivatePIDs"})


def test_systemd_creates_the_user(tmp_path: Path) -> None:
    if shutil.which("systemd-sysusers") is None:
        pytest.skip("systemd-sysusers is not installed")
    (tmp_path / "etc").mkdir()
    with (DEPLOY / "systemd" / "cpuwatch.sysusers").open() as file:
        checked("systemd-sysusers", f"--root={tmp_path}", "-", stdin=file)
    assert (tmp_path / "etc" / "passwd").read_text().startswith("cpuwatch:")
