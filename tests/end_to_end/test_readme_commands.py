"""Every command of the README is run; what needs more than this machine, as far as it goes."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.end_to_end.test_csv_to_http import started
from tests.tiny_shop import write_tiny_shop

ROOT = Path(__file__).parents[2]
URL = "http://127.0.0.1:8000"
README = (ROOT / "README.md").read_text(encoding="utf-8")
KINDS = ("make ", "pip ", "curl ", "streamrec ", "docker compose ", "python -m ", "scripts/")


def without_variables(command: str) -> str:
    return re.sub(r"^(?:[A-Z_]+=\S* )+", "", command)


def commands() -> list[str]:
    """Every command: the lines of blocks that begin with one, and code within sentences."""
    blocks = re.findall(r"^```\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    prose = re.sub(r"^```\n.*?^```", "", README, flags=re.DOTALL | re.MULTILINE)
    found = [code for code in re.findall(r"`([^`\n]+)`", prose) if code.startswith(KINDS)]
    for block in blocks:
        if without_variables(block).startswith(KINDS):
            lines = block.replace("\\\n", " ").strip().splitlines()
            found += [re.sub(r"\s+# .*", "", line) for line in lines]
    return found


def beginning(*words: str) -> list[str]:
    return [command for command in commands() if without_variables(command).startswith(words)]


def run(command: str, folder: Path, **variables: str) -> str:
    """What a command prints, run by a shell that finds this environment's programs."""
    done = subprocess.run(
        ["bash", "-euc", command], cwd=folder, capture_output=True, text=True, check=False,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"} | variables,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stderr}"
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where somebody has events.csv and items.csv and follows the five steps up to serving."""
    folder = tmp_path_factory.mktemp("own")
    write_tiny_shop(folder)
    (folder / "interactions.csv").rename(folder / "events.csv")
    steps = [part for command in beginning("streamrec") for part in command.split(" && ")]
    assert {step.split()[1] for step in steps} == {
        "train", "evaluate", "export", "load-histories", "serve",
    }  # fmt: skip
    for step in sorted(steps, key=lambda step: "--fresh-evidence" in step):
        if step.startswith("streamrec train"):
            step += " --config config.toml --threads 1"  # the same, smaller
        if not step.startswith("streamrec serve"):
            run(step, folder)
    return folder


@pytest.fixture
def service(folder: Path) -> Iterator[httpx.Client]:
    """What `streamrec serve` of the five steps serves, on another port."""
    (serve,) = (
        command.split(" && ")[1] for command in beginning("streamrec") if "serve" in command
    )
    with started(shlex.split(serve)[1:], folder, {}) as client:
        yield client


def test_the_five_steps_end_with_an_answer(service: httpx.Client, folder: Path) -> None:
    assert (folder / "run/report.html").is_file()
    known, inline = (command.replace(URL, str(service.base_url)) for command in beginning("curl"))
    assert len(json.loads(run(known, folder))["items"]) == 10
    own = inline.replace("SKU-00001", "item-3").replace("SKU-00016", "item-4")
    assert own != inline
    answer = json.loads(run(own, folder))
    assert len(answer["items"]) == 5
    assert answer["items"][0]["properties"]["title"]
    history = service.get("/users/user-0/history").json()
    assert history["user_id"] == "user-0"
    assert len(history["events"]) == 5


def test_what_make_is_asked_for_exists() -> None:
    asked = beginning("make")
    assert {"make demo", "make test", "make imports"} <= set(asked)
    for command in asked:
        run(f"{command} --dry-run", ROOT)


def refused_port(variable: str) -> str:
    """What `make free-port` says when it refuses a port or an interpreter."""
    refused = subprocess.run(
        ["make", "free-port", variable], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert refused.returncode
    return refused.stderr


def test_the_demo_begins_with_a_free_port() -> None:
    assert "create_server" in "".join(
        run("make --no-print-directory demo --dry-run", ROOT).splitlines()[:4]
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused_port(f"PORT={port}")
        assert f"127.0.0.1:{port}" in said
        assert "make demo PORT=" in said
    run(f"make free-port PORT={port}", ROOT)


@pytest.mark.parametrize("port", ["abc", "", "0", "-1", "65536", "8000.5"])
def test_a_port_that_is_none_is_not_taken_for_one_in_use(port: str) -> None:
    said = refused_port(f"PORT={port}")
    assert f"PORT={port} is no port; give a number from 1 to 65535" in said
    assert "listen" not in said


def test_a_python_that_is_missing_is_not_taken_for_a_port_in_use() -> None:
    said = refused_port("PYTHON=no-such-python")
    assert "no-such-python" in said
    assert "listen" not in said


def test_what_pip_is_asked_for_exists() -> None:
    asked = beginning("pip")
    assert len(asked) > 1
    version = re.search(r"TORCH_VERSION := (\S+)", (ROOT / "Makefile").read_text())
    assert version
    for command in asked:
        if "-e " in command:
            said = run(f"{command} --dry-run --no-deps --no-build-isolation", ROOT)
            assert "does not provide the extra" not in said
        else:
            assert "torch --index-url" in command or f"torch=={version[1]}" in command


def test_benchmarks_explain_themselves() -> None:
    asked = beginning("python")
    assert len(asked) > 1
    for command in asked:
        module = " ".join(command.split()[:3])
        said = run(f"{module} --help", ROOT)
        for option in re.findall(r"--[a-z-]+", command):
            assert option in said


def test_containers_are_started_as_the_readme_says() -> None:
    verified = (ROOT / "scripts/verify-containers").read_text()
    compose = (ROOT / "docker-compose.yml").read_text()
    for command in beginning("docker compose", "scripts/"):
        for variable in re.findall(r"^([A-Z_]+)=|(?<= )([A-Z_]+)=", command):
            assert f"${{{''.join(variable)}" in compose
        for profile in re.findall(r"--profile (\S+)", command):
            assert f"profiles: [{profile}]" in compose
            assert f"--profile {profile}" in verified
        if command.startswith("scripts/"):
            assert os.access(ROOT / command.split()[0], os.X_OK)


def test_every_command_is_of_a_kind_that_is_run() -> None:
    assert len(commands()) > 15
    assert set(commands()) == set(beginning(*KINDS))


@pytest.mark.parametrize("document", ["accuracy", "performance"])
def test_the_figures_on_the_first_screen_are_those_of_the_document(document: str) -> None:
    before, _ = README.split(f"[docs/{document}.md]", 1)
    table = before.rsplit("\n\n", 2)[1]
    figures = re.findall(r"×?\.?\d+(?:\.\d+)?", re.sub(r"^.*\n\|---.*\n", "", table))
    text = (ROOT / f"docs/{document}.md").read_text(encoding="utf-8")
    assert len(figures) > 4
    assert [figure for figure in figures if figure not in text] == []
