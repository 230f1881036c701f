"""The deployment files: as far as they can be checked where neither Docker nor a cluster is."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.reader import load
from serving.access import OPEN_PATHS
from serving.metrics import Metrics
from serving.settings import ServeConfig

DEPLOY = Path(__file__).parents[1] / "serving" / "deploy"


@pytest.fixture(scope="module")
def objects() -> dict[str, Any]:
    """Kubernetes objects by kind."""
    text = (DEPLOY / "kubernetes" / "service.yaml").read_text()
    return {each["kind"]: each for each in yaml.safe_load_all(text)}


def test_the_recipe_of_the_container_can_be_served_in_public() -> None:
    config = load(DEPLOY / "serve.yaml", ServeConfig)
    assert config.http.host == "0.0.0.0"
    assert config.http.api_keys_file is not None


def test_the_image_runs_without_rights_and_writes_to_one_place() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users == ["10001:10001"]
    # Exec form: the process gets SIGTERM itself, and drains.
    assert 'ENTRYPOINT ["pii", "serve"]' in lines
    assert not any(re.search(r"(?i)(secret|token|password|_key)=", line) for line in lines)
    pins = {f"requirements/{each}.txt" for each in ("cpu", "gpu")}
    assert all((DEPLOY.parents[1] / each).is_file() for each in pins)


def test_compose_mounts_what_the_recipe_names_and_gives_no_rights() -> None:
    service = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["pii"]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    mounted = {volume.split(":")[-2]: volume.split(":")[-1] for volume in service["volumes"]}
    config = load(DEPLOY / "serve.yaml", ServeConfig)
    assert set(mounted) >= {"/srv/serve.yaml", "/srv/model"}
    assert str(config.http.api_keys_file).rpartition("/")[0] in mounted
    assert set(mounted.values()) == {"ro"}
    # Nothing but this machine reaches it without a proxy.
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).is_file()


def test_kubernetes_probes_ask_what_needs_no_key_and_ends_are_waited_for(objects: dict[str, Any]) -> None:
    pod = objects["Deployment"]["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    probes = {kind: container[kind]["httpGet"]["path"] for kind in ("livenessProbe", "readinessProbe")}
    assert probes == {"livenessProbe": "/healthz", "readinessProbe": "/readyz"}
    assert set(probes.values()) <= OPEN_PATHS
    config = load(DEPLOY / "serve.yaml", ServeConfig)
    assert pod["spec"]["terminationGracePeriodSeconds"] > config.http.drain_delay_s + config.http.drain_s
    # The probe has noticed before the last request is refused.
    probe = container["readinessProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] < config.http.drain_delay_s
    context = container["securityContext"]
    assert context["readOnlyRootFilesystem"]
    assert not context["allowPrivilegeEscalation"]
    assert pod["spec"]["securityContext"]["runAsNonRoot"]


def test_kubernetes_objects_fit_each_other(objects: dict[str, Any]) -> None:
    deployment = objects["Deployment"]["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    assert deployment["selector"]["matchLabels"] == labels
    assert objects["Service"]["spec"]["selector"] == labels
    assert objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    pod = deployment["template"]["spec"]
    (container,) = pod["containers"]
    assert {each["name"] for each in container["volumeMounts"]} == {each["name"] for each in pod["volumes"]}
    assert container["ports"][0]["name"] == objects["Service"]["spec"]["ports"][0]["targetPort"]
    assert deployment["replicas"] > 1


def test_the_dashboard_draws_numbers_that_exist() -> None:
    metrics = Metrics()
    names = ("ready", "requests_in_progress", "windows_waiting", "windows_running", "engine_restarts")
    metrics.observe_live(**dict.fromkeys(names, lambda: 0.0))
    known = {
        name
        for family in metrics.registry.collect()
        for name in (family.name, f"{family.name}_total", f"{family.name}_bucket")
    }
    dashboard = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
    drawn = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"\bpii_[a-z_]+", target["expr"])
    }
    assert len(drawn) > 12
    assert drawn <= known
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
