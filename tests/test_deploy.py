"""The files of deploy/ fit their schemas, and name what there is."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from service.metrics import Metrics

ROOT = Path(__file__).parents[1]
KUBERNETES = ROOT / "deploy/kubernetes"
VERSION = "1.34"
FILES = sorted(set(KUBERNETES.rglob("*.yaml")) - set(KUBERNETES.rglob("kustomization.yaml")))


def documents() -> list[dict[str, Any]]:
    return [found for file in FILES for found in yaml.safe_load_all(file.read_text())]


def pods(document: Any) -> Iterator[dict[str, Any]]:
    """Every pod template inside a document."""
    if isinstance(document, dict):
        if "containers" in document:
            yield document
        for value in document.values():
            yield from pods(value)


def test_manifests_fit_the_schemas() -> None:
    found = documents()
    assert {"Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy"} <= {
        document["kind"] for document in found
    }
    for document in found:
        kubernetes_validate.validate(document, VERSION, strict=True)


def test_every_container_is_hardened_and_limited() -> None:
    found = [pod for document in documents() for pod in pods(document)]
    assert len(found) == 3
    for pod in found:
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["runAsUser"]
        assert not pod["automountServiceAccountToken"]
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl renders the kustomization")
def test_the_example_renders_to_what_fits_the_schemas() -> None:
    rendered = subprocess.run(
        ["kubectl", "kustomize", str(KUBERNETES / "example")],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    found = list(yaml.safe_load_all(rendered))
    for document in found:
        kubernetes_validate.validate(document, VERSION, strict=True)
        assert document["metadata"]["namespace"] == "stream-rec"
    names = {(document["kind"], document["metadata"]["name"]) for document in found}
    (deployment,) = (document for document in found if document["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    (redis,) = (entry["valueFrom"]["secretKeyRef"] for entry in container["env"])
    assert ("Secret", redis["name"]) in names
    assert ("ConfigMap", container["envFrom"][0]["configMapRef"]["name"]) in names


def metrics_in(expressions: Iterable[str]) -> set[str]:
    return {
        re.sub(r"_(bucket|sum|count|total)$", "", name)
        for expression in expressions
        for name in re.findall(r"(?:streamrec|http_server)_\w+", expression)
    }


@pytest.fixture(scope="module")
def offered() -> set[str]:
    """Names of the metrics that the service has."""
    lines = Metrics().render().decode().splitlines()
    return {line.split()[2].removesuffix("_total") for line in lines if line.startswith("# TYPE")}


def test_the_dashboard_shows_metrics_that_there_are(offered: set[str]) -> None:
    dashboard = json.loads((ROOT / "deploy/grafana/dashboards/streamrec.json").read_text())
    shown = metrics_in(
        target["expr"] for panel in dashboard["panels"] for target in panel["targets"]
    )
    assert len(shown) > 8
    assert shown <= offered


def test_the_alerts_are_about_metrics_that_there_are_and_are_explained(offered: set[str]) -> None:
    (group,) = yaml.safe_load((ROOT / "deploy/alerts.yml").read_text())["groups"]
    watched = metrics_in(rule["expr"] for rule in group["rules"])
    assert len(watched) > 5
    assert watched <= offered
    text = (ROOT / "docs/operations.md").read_text()
    told = re.findall(r"^\| `(StreamRec\w+)` \|", text, re.MULTILINE)
    assert told == [rule["alert"] for rule in group["rules"]]


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool checks the rules of Prometheus")
def test_prometheus_takes_its_configuration() -> None:
    subprocess.run(["promtool", "check", "config", str(ROOT / "deploy/prometheus.yml")], check=True)


def compose() -> bool:
    """Whether there is Docker Compose; it reads files without an engine."""
    return bool(shutil.which("docker")) and not (
        subprocess.run(
            ["docker", "compose", "version"], capture_output=True, check=False
        ).returncode
    )


@pytest.mark.skipif(not compose(), reason="docker compose reads its files")
@pytest.mark.parametrize(
    "files", [["docker-compose.yml"], ["docker-compose.yml", "compose.gpu.yml"]], ids=len
)
def test_compose_takes_its_files(files: list[str]) -> None:
    named = [argument for file in files for argument in ("-f", str(ROOT / file))]
    subprocess.run(["docker", "compose", *named, "config", "--quiet"], check=True)


def test_the_dockerfile_passes_its_linter() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    subprocess.run([hadolint, ROOT / "Dockerfile"], check=True)


def test_histories_are_loaded_whenever_the_data_have_changed(tmp_path: Path) -> None:
    written = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    (script,) = written["services"]["train"]["command"]
    for name in ("data", "input", "bin"):
        (tmp_path / name).mkdir()
        script = script.replace(f"/{name}", str(tmp_path / name))
    recorder = tmp_path / "bin/streamrec"
    recorder.write_text(f'#!/bin/sh\necho "$1" >> {tmp_path}/ran\n')
    recorder.chmod(0o755)

    def loads(interactions: str) -> int:
        (tmp_path / "input/interactions.csv").write_text(interactions)
        (tmp_path / "ran").unlink(missing_ok=True)
        environment = {**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
        subprocess.run(["sh", "-ec", script.replace("$$", "$")], env=environment, check=True)
        return (tmp_path / "ran").read_text().split().count("load-histories")

    assert [loads(text) for text in ("a", "a", "b", "b", "a")] == [1, 0, 1, 0, 1]


@pytest.mark.parametrize("file", [".github/workflows/ci.yml", ".pre-commit-config.yaml"])
def test_automation_runs_what_make_offers(file: str) -> None:
    text = (ROOT / file).read_text()
    assert yaml.safe_load(text)
    targets = re.findall(r"\bmake ([a-z]+)", re.sub(r"#.*|name: .*", "", text))
    makefile = (ROOT / "Makefile").read_text()
    assert targets
    assert [target for target in targets if f"\n{target}:" not in makefile] == []
