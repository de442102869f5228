"""``deploy/compose.yaml`` and ``deploy/kubernetes``: by published schemas, and by our settings.

No container engine and no cluster run here.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import check_jsonschema
import jsonschema
import kubernetes_validate
import pytest
import yaml

from sio_server.settings import Settings
from tests.support.deployed import NGINX, replaced
from tests.support.nginx import configured
from tests.support.server import ROOT

DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
COMPOSE_SCHEMA = "builtin_schemas/vendor/compose-spec.json"
CLOSING_SECONDS = 10
"""A server that has drained may need so long to close its log."""

DRAIN_SECONDS = Settings.model_fields["drain_seconds"].default


def manifests() -> list[dict[str, Any]]:
    """Return all objects that ``kubectl apply -k`` would send."""
    names = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"]
    return [it for name in names for it in yaml.safe_load_all((KUBERNETES / name).read_text())]


def manifest(kind: str, name: str = "furniture-events") -> dict[str, Any]:
    """Return the object of this kind and name."""
    (found,) = (it for it in manifests() if (it["kind"], it["metadata"]["name"]) == (kind, name))
    return found


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """Return what compose.yaml says."""
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return loaded


@pytest.mark.parametrize("it", manifests(), ids=lambda it: f"{it['kind']} {it['metadata']['name']}")
def test_kubernetes_knows_every_field(it: dict[str, Any]) -> None:
    """Strictly, with the newest schemas: a field that does not exist is an error."""
    kubernetes_validate.validate(it, kubernetes_validate.latest_version(), strict=True)


def test_every_file_of_the_folder_is_applied() -> None:
    """``kubectl apply -k`` forgets no file."""
    applied = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"]
    assert {*applied, "kustomization.yaml"} == {it.name for it in KUBERNETES.iterdir()}


def test_kustomize_makes_all_objects() -> None:
    """As ``kubectl apply -k`` sends them: in the namespace, with the images of the registry."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is needed: it has Kustomize")
    made = subprocess.run(
        ["kubectl", "kustomize", KUBERNETES], capture_output=True, text=True, check=True
    )
    changes = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
    images = {it["name"]: f"{it['newName']}:{it['newTag']}" for it in changes["images"]}
    expected = manifests()
    for it in expected:
        it["metadata"]["namespace"] = changes["namespace"]
        for container in it["spec"].get("template", {}).get("spec", {}).get("containers", ()):
            container["image"] = images[container["image"]]

    def name(it: dict[str, Any]) -> tuple[str, str]:
        return it["kind"], it["metadata"]["name"]

    objects = yaml.safe_load_all(made.stdout)
    assert sorted(objects, key=name) == sorted(expected, key=name)


def test_kubernetes_waits_longer_than_the_drain() -> None:
    """And a new server is ready before an old one ends."""
    spec = manifest("Deployment")["spec"]
    pod = spec["template"]["spec"]
    (server,) = pod["containers"]
    (_, pause) = server["lifecycle"]["preStop"]["exec"]["command"]
    least = int(pause) + DRAIN_SECONDS + CLOSING_SECONDS
    assert pod["terminationGracePeriodSeconds"] > least
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    probes = {name: it["httpGet"]["path"] for name, it in server.items() if "Probe" in name}
    assert probes == {
        "startupProbe": "/healthz",
        "livenessProbe": "/healthz",
        "readinessProbe": "/readyz",
    }


def test_selectors_find_their_pods() -> None:
    """The service, the disruption budget and the ingress mean the servers, and a port they have."""
    pod = manifest("Deployment")["spec"]["template"]
    (server,) = pod["spec"]["containers"]
    service, budget = manifest("Service")["spec"], manifest("PodDisruptionBudget")["spec"]
    assert service["selector"] == budget["selector"]["matchLabels"] == pod["metadata"]["labels"]
    names = {it["name"] for it in server["ports"]}
    assert {it["targetPort"] for it in service["ports"]} <= names
    assert {server[it]["httpGet"]["port"] for it in server if "Probe" in it} <= names
    (rule,) = manifest("Ingress")["spec"]["rules"]
    backend = rule["http"]["paths"][0]["backend"]["service"]
    assert backend == {"name": "furniture-events", "port": {"name": service["ports"][0]["name"]}}


def test_compose_knows_every_field(compose: dict[str, Any]) -> None:
    """By the schema of the Compose Specification."""
    path = Path(check_jsonschema.__file__).parent / COMPOSE_SCHEMA
    schema = json.loads(path.read_text())
    jsonschema.validators.validator_for(schema)(schema).validate(compose)


def test_compose_waits_longer_than_the_drain(compose: dict[str, Any]) -> None:
    """For both brokers, which have a read-only root and no rights."""
    for name in ("broker-1", "broker-2"):
        broker = compose["services"][name]
        assert int(broker["stop_grace_period"].rstrip("s")) >= DRAIN_SECONDS + CLOSING_SECONDS
        assert (broker["read_only"], broker["cap_drop"]) == (True, ["ALL"])


def test_nginx_finds_the_brokers_of_compose(compose: dict[str, Any], tmp_path: Path) -> None:
    """It accepts its file, which names the brokers' addresses; they trust nginx's address."""
    text = (DEPLOY / "nginx/compose.conf").read_text()
    services = compose["services"]
    fronts = {
        name: it["networks"]["front"]
        for name, it in services.items()
        if isinstance(it["networks"], dict)
    }
    addresses = {name: front["ipv4_address"] for name, front in fronts.items()}
    assert set(re.findall(r"server (\S+):8765", text)) == {
        addresses["broker-1"],
        addresses["broker-2"],
    }
    for name in ("broker-1", "broker-2"):
        assert services[name]["environment"]["SIO_TRUSTED_PROXIES"] == addresses["nginx"]
    site = replaced(text, {"listen 8080": "listen 127.0.0.1:{port}", "/dev/stdout": "off"})
    site = site.replace("access_log off furniture_events", "access_log off")
    with configured(tmp_path, NGINX.format(folder=tmp_path, site=site)):
        pass


def test_compose_takes_its_secrets_from_a_file(compose: dict[str, Any]) -> None:
    """compose.env has a line for each of them, and no value."""
    wanted = set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text()))
    lines = (DEPLOY / "compose.env").read_text().splitlines()
    assert {line for line in lines if line and not line.startswith("#")} == {
        f"{name}=" for name in wanted
    }


@pytest.mark.parametrize(
    "path", sorted(it for it in DEPLOY.rglob("*") if it.is_file()), ids=lambda it: it.name
)
def test_every_setting_that_is_named_exists(path: Path) -> None:
    """A renamed setting would stop the start."""
    for name in re.findall(r"\bSIO_([A-Z_]*[A-Z])\b", path.read_text()):
        assert name.lower() in Settings.model_fields, name
