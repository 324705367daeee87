"""That deploy/kubernetes/values.yaml is what Dagster and Kubernetes understand, and what docs/kubernetes.md says.

The pod of a run is made by Dagster's own launcher from our values, and caught on its way to the cluster.
"""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dagster as dg
import kubernetes_validate
import pytest
import yaml
from dagster._config import process_config, resolve_to_config_type
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.instance.config import dagster_instance_config
from dagster._core.launcher import LaunchRunContext
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._serdes import ConfigurableClassData
from kubernetes.client import ApiClient, V1Job

from mta_pipeline.domain.ingest import SWEEP_EVERY, WORKERS
from mta_pipeline.domain.settings import Settings
from mta_pipeline.domain.staging import KEEP_BYTES
from mta_pipeline_tests.deploy import chart

VALUES = chart.values()
KUBERNETES = kubernetes_validate.latest_version()
PAGE = (chart.PROJECT / "docs/kubernetes.md").read_text()
A_FULL_WEEK = 33_000_000
UNITS = {"Mi": 1 << 20, "Gi": 1 << 30}


def size(quantity: str) -> int:
    """Bytes of 256Mi or 6Gi."""
    number, unit = int(quantity[:-2]), quantity[-2:]
    return number * UNITS[unit]


class Cluster:
    """The one call of the batch API that a launch makes."""

    def __init__(self) -> None:
        self.jobs: list[V1Job] = []

    def create_namespaced_job(self, body: V1Job, namespace: str, _request_timeout: int) -> V1Job:
        assert namespace == chart.NAMESPACE
        self.jobs.append(body)
        return body


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The Kubernetes Job of a run, as Dagster's launcher would have it made."""
    from dagster_k8s import K8sRunLauncher

    folder = tmp_path_factory.mktemp("cluster")
    access = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": "https://cluster.invalid"}}],
        "users": [{"name": "test", "user": {}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    }
    (folder / "config").write_text(yaml.safe_dump(access))
    here = {"load_incluster_config": False, "kubeconfig_file": str(folder / "config")}
    cluster = Cluster()
    launcher = K8sRunLauncher(**{**chart.launcher(VALUES), **here}, k8s_client_batch_api=cluster)
    origin = RepositoryPythonOrigin(
        executable_path="python",
        code_pointer=ModuleCodePointer("mta_pipeline.orchestration.definitions", "defs"),
        container_image=chart.image(chart.code_location(VALUES)),
        container_context=chart.container_context(VALUES),
    )
    with dg.DagsterInstance.local_temp(str(folder)) as instance:
        launcher.register_instance(instance)
        run = instance.create_run_for_job(
            importlib.import_module("mta_pipeline.orchestration.definitions").defs.resolve_job_def("ingest_weeks"),
            job_code_origin=JobPythonOrigin("ingest_weeks", origin),
        )
        launcher.launch_run(LaunchRunContext(run, workspace=None))
    [made] = cluster.jobs
    return dict(ApiClient().sanitize_for_serialization(made))


@pytest.fixture
def pod(job: dict[str, Any]) -> dict[str, Any]:
    return dict(job["spec"]["template"]["spec"])


@pytest.fixture
def container(pod: dict[str, Any]) -> dict[str, Any]:
    [only] = pod["containers"]
    return dict(only)


def test_kubernetes_accepts_the_job_of_a_run(job: dict[str, Any]) -> None:
    kubernetes_validate.validate(job, KUBERNETES, strict=True)


@pytest.mark.parametrize("name", ["webserver", "daemon", "turnstile"])
def test_kubernetes_accepts_what_stays_up(name: str) -> None:
    kubernetes_validate.validate(chart.services(VALUES)[name], KUBERNETES, strict=True)


def test_kubernetes_refuses_a_misspelt_key() -> None:
    deployment = chart.services(VALUES)["daemon"]
    deployment["spec"]["template"]["spec"]["containers"][0]["securityContex"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, KUBERNETES, strict=True)


def test_dagster_accepts_the_instance_and_each_part_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_PG_PASSWORD", "secret")
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(chart.instance(VALUES)))
    config, _ = dagster_instance_config(str(tmp_path))  # raises what it does not understand
    parts = [part for part in config.values() if isinstance(part, dict) and "class" in part]
    assert len(parts) == 7
    for part in parts:
        pointer = ConfigurableClassData(part["module"], part["class"], "")  # knows where dagster.core is today
        schema = getattr(importlib.import_module(pointer.module_name), pointer.class_name).config_type()
        outcome = process_config(resolve_to_config_type(schema), part.get("config", {}))
        assert outcome.success, f"{part['class']}: {outcome.errors}"


def test_the_instance_takes_as_many_runs_and_tells_crashes_from_failures_as_it_says(tmp_path: Path) -> None:
    made = chart.instance(VALUES)
    unplaced = {"run_launcher", "run_storage", "event_log_storage", "schedule_storage", "compute_logs"}
    here = {key: value for key, value in made.items() if key not in unplaced}
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(here))
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        queue = instance.get_concurrency_config().run_queue_config
        assert queue is not None
        assert queue.max_concurrent_runs == VALUES["concurrency"]["runs"]["maxConcurrentRuns"]
        assert instance.global_op_concurrency_default_limit == VALUES["concurrency"]["pools"]["defaultLimit"]
        assert instance.run_retries_enabled
        assert instance.run_retries_max_retries == 1
        assert instance.get_settings("run_retries")["retry_on_asset_or_op_failure"] is False
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled


def test_every_container_is_nobody_special(pod: dict[str, Any]) -> None:
    specs = [pod, *(made["spec"]["template"]["spec"] for made in chart.services(VALUES).values())]
    assert len(specs) == 4
    for spec in specs:
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == 10001
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_a_volume_is_there_for_every_mount_and_a_place_is_mounted_once(pod: dict[str, Any]) -> None:
    for spec in [pod, *(made["spec"]["template"]["spec"] for made in chart.services(VALUES).values())]:
        names = [volume["name"] for volume in spec["volumes"]]
        mounts = [mount for container in spec["containers"] for mount in container["volumeMounts"]]
        assert len(names) == len(set(names))
        assert {mount["name"] for mount in mounts} == set(names)
        assert len({mount["mountPath"] for mount in mounts}) == len(mounts)
        assert {"/tmp", VALUES["global"]["dagsterHome"]} <= {mount["mountPath"] for mount in mounts}


def test_a_run_has_the_settings_the_image_and_the_account_of_its_code_location(
    pod: dict[str, Any], container: dict[str, Any]
) -> None:
    assert {"configMapRef": {"name": chart.SETTINGS_CONFIG_MAP}} in container["envFrom"]
    assert container["image"] == chart.image(chart.code_location(VALUES))
    assert pod["serviceAccountName"] == "mta-runs"
    assert VALUES["serviceAccount"]["name"] != "mta-runs"


def test_a_run_has_the_resources_that_the_launcher_promises(container: dict[str, Any]) -> None:
    assert container["resources"] == VALUES["runLauncher"]["config"]["k8sRunLauncher"]["resources"]
    assert container["resources"]["requests"]["cpu"] == "1"


def test_a_run_that_dies_is_started_again_by_dagster_alone_and_waited_for_by_nodes(job: dict[str, Any]) -> None:
    assert job["spec"]["backoffLimit"] == 0
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    annotations = job["spec"]["template"]["metadata"]["annotations"]
    assert annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"


def test_staging_holds_what_is_kept_and_the_weeks_that_arrive(pod: dict[str, Any], container: dict[str, Any]) -> None:
    sizes = {volume["name"]: size(volume["emptyDir"]["sizeLimit"]) for volume in pod["volumes"] if "emptyDir" in volume}
    kinds = ("good", "rejected")
    assert sizes["staging"] >= len(kinds) * KEEP_BYTES + (SWEEP_EVERY + 2 * WORKERS) * A_FULL_WEEK
    for bound in ("requests", "limits"):
        assert size(container["resources"][bound]["ephemeral-storage"]) >= sum(sizes.values())
    [mount] = [mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] == "staging"]
    assert mount == chart.code_location(VALUES)["env"]["MTA_STAGING_DIR"]


def test_the_settings_are_ones_that_the_pipeline_reads() -> None:
    given = chart.code_location(VALUES)["env"]
    table = (chart.PROJECT / "README.md").read_text().partition("## Settings")[2].partition("\n## ")[0]
    assert set(given) <= set(re.findall(r"^\| `(MTA_\w+)`", table, re.MULTILINE))
    assert all(isinstance(value, str) for value in given.values())
    settings = Settings.from_environment(given)
    assert str(settings.staging_dir) == "/staging"
    assert settings.last_week is not None


def test_the_code_server_loads_definitions() -> None:
    option, module = chart.code_location(VALUES)["dagsterApiGrpcArgs"]
    assert option == "-m"
    assert isinstance(importlib.import_module(module).defs, dg.Definitions)


def test_the_ui_is_for_the_cluster_alone() -> None:
    assert VALUES["dagsterWebserver"]["service"]["type"] == "ClusterIP"
    assert VALUES["ingress"] == {"enabled": False}
    assert (
        VALUES["dagsterWebserver"]["readinessProbe"]["httpGet"]["port"] == VALUES["dagsterWebserver"]["service"]["port"]
    )


def set_me(node: object, path: str = "") -> Iterator[str]:
    """Paths, as helm's --set spells them, of what the values leave open."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from set_me(value, f"{path}.{key}" if path else key)
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from set_me(value, f"{path}[{number}]")
    elif "set-me" in str(node):
        yield path


def test_the_page_sets_all_that_is_left_open_and_nothing_else_that_is_not_there() -> None:
    [upgrade] = re.findall(r"helm upgrade --install (?:.*\\\n)+.*", PAGE)
    pairs = [argument for argument in shlex.split(upgrade) if re.match(r"[\w.\[\]-]+=", argument)]
    paths = {pair.partition("=")[0] for pair in pairs}
    assert set(set_me(VALUES)) <= paths
    for path in paths:
        node: Any = VALUES
        for part in re.findall(r"[\w-]+|\[\d+\]", path):
            node = node[int(part[1:-1])] if part.startswith("[") else node[part]


def test_the_page_takes_the_charts_version_from_the_lock() -> None:
    [command] = re.findall(r"^export CHART=\$\((.*)\)", PAGE, re.MULTILINE)
    done = subprocess.run(command, shell=True, cwd=chart.PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout == version("dagster") + "\n"


def test_the_image_of_the_lock_has_what_the_chart_starts() -> None:
    lock = (chart.PROJECT / "requirements-k8s.lock").read_text()
    assert {"dagster", "dagster-webserver", "dagster-k8s", "dagster-postgres", "dagster-gcp"} <= set(
        re.findall(r"^([\w-]+)==", lock, re.MULTILINE)
    )
