"""What can be said of deploy/ without an engine: that its files agree with each other, with Dagster and the README."""

from __future__ import annotations

import re

import pytest
import yaml
from dagster._core.instance.config import dagster_instance_config
from dagster._core.instance.ref import InstanceRef
from dagster_docker import DockerRunLauncher

from mta_pipeline.domain.settings import PROJECT

DEPLOY = PROJECT / "deploy"
COMPOSE = (DEPLOY / "compose.yaml").read_text()
SERVICES = yaml.safe_load(COMPOSE)["services"]
PRODUCTION = {name: service for name, service in SERVICES.items() if "profiles" not in service}
RUNS = yaml.safe_load((DEPLOY / "dagster.yaml").read_text())["run_launcher"]["config"]


def settings_in_readme() -> set[str]:
    """The variables of the README's table, less the folder that a volume is mounted on."""
    return set(re.findall(r"^\| `(MTA_[A-Z_]+)` \|", (PROJECT / "README.md").read_text(), re.MULTILINE)) - {
        "MTA_STAGING_DIR"
    }


#: Holds passwords. Only the code server, which evaluates sensors, has it.
SECRET = {"MTA_ALERT_URLS"}


@pytest.mark.parametrize("service", ["webserver", "daemon", "code"])
def test_every_setting_of_the_readme_reaches_every_service(service: str) -> None:
    assert settings_in_readme() - SECRET <= set(SERVICES[service]["environment"])


def test_secrets_reach_only_the_service_that_needs_them() -> None:
    for variable in SECRET:
        assert [name for name, service in SERVICES.items() if variable in service.get("environment", {})] == ["code"]
        assert variable not in RUNS["env_vars"]


def test_every_setting_of_the_readme_reaches_runs() -> None:
    assert settings_in_readme() - SECRET <= set(RUNS["env_vars"])


def test_what_runs_are_given_is_what_the_daemon_has() -> None:
    # Dagster refuses to launch a run with a variable that its daemon lacks.
    assert set(RUNS["env_vars"]) <= set(SERVICES["daemon"]["environment"])


def test_the_examples_set_what_compose_demands() -> None:
    demanded = set(re.findall(r"\$\{([A-Z_]+):\?", COMPOSE))
    for example in (".env.example", "laptop.env"):
        assert demanded <= set(re.findall(r"^([A-Z_]+)=", (DEPLOY / example).read_text(), re.MULTILINE)), example


def test_dagster_takes_the_instance_as_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in RUNS["env_vars"]:
        monkeypatch.setenv(name, "something")
    dagster_instance_config(str(DEPLOY))  # raises on keys that Dagster does not know
    launcher = InstanceRef.from_dir(str(DEPLOY)).run_launcher
    assert isinstance(launcher, DockerRunLauncher)
    assert launcher.env_vars == RUNS["env_vars"]


@pytest.mark.parametrize("name", SERVICES)
def test_services_have_no_rights_that_they_do_not_need(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert not service.get("privileged")


def test_runs_are_as_confined_as_services() -> None:
    run, service = RUNS["container_kwargs"], SERVICES["daemon"]
    for rule in ("read_only", "cap_drop", "security_opt", "init"):
        assert run[rule] == service[rule]
    assert run["auto_remove"]
    assert run["mem_limit"]


def test_only_the_ui_can_be_reached_and_only_from_this_machine() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"webserver": ["127.0.0.1:${UI_PORT:-3000}:3000"]}


@pytest.mark.parametrize("name", SERVICES)
def test_services_come_back_by_themselves_and_say_how_they_are(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    # The code server's is the image's own.
    assert ("healthcheck" in service) == (name != "code")
    assert "HEALTHCHECK" in (PROJECT / "Dockerfile").read_text()


def test_runs_find_the_services_where_they_look() -> None:
    assert yaml.safe_load(COMPOSE)["networks"]["default"]["name"] == RUNS["network"]
    workspace = yaml.safe_load((DEPLOY / "workspace.yaml").read_text())["load_from"][0]["grpc_server"]
    assert workspace["host"] in PRODUCTION


def test_both_instances_retry_crashes_only() -> None:
    for folder in (DEPLOY, PROJECT):
        instance = yaml.safe_load((folder / "dagster.yaml").read_text())
        assert instance["run_monitoring"]["enabled"]
        assert instance["run_retries"] == {"enabled": True, "max_retries": 1, "retry_on_asset_or_op_failure": False}
        assert instance["telemetry"] == {"enabled": False}


def test_terraform_takes_the_files_that_are_there() -> None:
    # Its own tests see stand-ins for them, and fail on none that is missing.
    named = re.findall(r"\$\{var\.deploy_dir\}/([\w.]+)", (PROJECT / "terraform" / "vm.tf").read_text())
    assert sorted(named) == ["compose.yaml", "dagster.yaml", "workspace.yaml"]
    assert all((DEPLOY / name).is_file() for name in named)
    mounted = re.findall(r"\./([\w.]+):", COMPOSE)
    assert set(mounted) <= set(named)
