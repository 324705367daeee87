"""What Dagster's Helm chart makes of values: the parts that ours use, as its templates have them.

The chart itself cannot be had from a package index. Each function names the template that it follows, so
that a newer chart can be compared.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parents[2]
RELEASE, NAMESPACE = "mta", "mta-namespace"
INSTANCE_CONFIG_MAP = f"{RELEASE}-dagster-instance"
SETTINGS_CONFIG_MAP = f"{RELEASE}-dagster-user-deployments-turnstile-user-env"


def values() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((PROJECT / "deploy/kubernetes/values.yaml").read_text())
    return loaded


def code_location(given: dict[str, Any]) -> dict[str, Any]:
    [deployment] = given["dagster-user-deployments"]["deployments"]
    return dict(deployment)


def image(of: dict[str, Any]) -> str:
    return f"{of['image']['repository']}:{of['image']['tag']}"


def instance(given: dict[str, Any]) -> dict[str, Any]:
    """dagster.yaml, as templates/configmap-instance.yaml and templates/helpers/instance/ write it."""
    postgres, logs = given["postgresql"], given["computeLogManager"]["config"]["gcsComputeLogManager"]
    daemon, limits = given["dagsterDaemon"], given["concurrency"]
    monitoring, retries = daemon["runMonitoring"], daemon["runRetries"]
    storage = {
        "postgres_db": {
            "username": postgres["postgresqlUsername"],
            "password": {"env": "DAGSTER_PG_PASSWORD"},
            "hostname": postgres["postgresqlHost"],
            "db_name": postgres["postgresqlDatabase"],
            "port": 5432,
            "params": postgres["postgresqlParams"],
        }
    }
    return {
        "scheduler": {"module": "dagster.core.scheduler", "class": "DagsterDaemonScheduler"},
        **{
            part: {"module": f"dagster_postgres.{module}", "class": name, "config": storage}
            for part, module, name in (
                ("schedule_storage", "schedule_storage", "PostgresScheduleStorage"),
                ("run_storage", "run_storage", "PostgresRunStorage"),
                ("event_log_storage", "event_log", "PostgresEventLogStorage"),
            )
        },
        "run_launcher": {"module": "dagster_k8s", "class": given["runLauncher"]["type"], "config": launcher(given)},
        "run_coordinator": {
            "module": "dagster.core.run_coordinator",
            "class": daemon["runCoordinator"]["type"],
            "config": {"dequeue_use_threads": True, "dequeue_num_workers": 4},  # the chart's own values
        },
        "compute_logs": {
            "module": "dagster_gcp.gcs.compute_log_manager",
            "class": given["computeLogManager"]["type"],
            "config": {"bucket": logs["bucket"], "prefix": logs["prefix"], "upload_interval": logs["uploadInterval"]},
        },
        "run_monitoring": {
            "enabled": monitoring["enabled"],
            "start_timeout_seconds": monitoring["startTimeoutSeconds"],
            "cancel_timeout_seconds": monitoring["cancelTimeoutSeconds"],
            "max_resume_run_attempts": monitoring["maxResumeRunAttempts"],
            "poll_interval_seconds": monitoring["pollIntervalSeconds"],
            "free_slots_after_run_end_seconds": monitoring["freeSlotsAfterRunEndSeconds"],
        },
        "run_retries": {
            "enabled": retries["enabled"],
            "max_retries": retries["maxRetries"],
            "retry_on_asset_or_op_failure": retries["retryOnAssetOrOpFailure"],
        },
        "telemetry": {"enabled": given["telemetry"]["enabled"]},
        "retention": {
            kind: {"purge_after_days": given["retention"][kind]["purgeAfterDays"]} for kind in ("schedule", "sensor")
        },
        "concurrency": {
            "pools": {
                "default_limit": limits["pools"]["defaultLimit"],
                "granularity": limits["pools"]["granularity"],
            },
            "runs": {"max_concurrent_runs": limits["runs"]["maxConcurrentRuns"]},
        },
        **given["additionalInstanceConfig"],
    }


def launcher(given: dict[str, Any]) -> dict[str, Any]:
    """The run launcher's configuration, as templates/helpers/instance/_run-launcher.tpl writes it."""
    ours = given["runLauncher"]["config"]["k8sRunLauncher"]
    raw = ours["runK8sConfig"]
    return {
        "load_incluster_config": True,
        "job_namespace": NAMESPACE,
        "image_pull_policy": ours["imagePullPolicy"],
        "service_account_name": given["serviceAccount"]["name"],
        "dagster_home": given["global"]["dagsterHome"],
        "instance_config_map": INSTANCE_CONFIG_MAP,
        "postgres_password_secret": given["global"]["postgresqlSecretName"],
        "volume_mounts": ours["volumeMounts"],
        "volumes": ours["volumes"],
        "resources": ours["resources"],
        "security_context": ours["securityContext"],
        "run_k8s_config": {
            "pod_spec_config": raw["podSpecConfig"],
            "pod_template_spec_metadata": raw["podTemplateSpecMetadata"],
            "job_spec_config": raw["jobSpecConfig"],
        },
    }


def container_context(given: dict[str, Any]) -> dict[str, Any]:
    """What the code server tells of itself, for its runs: `dagsterUserDeployments.k8sContainerContext`."""
    server = code_location(given)
    return {
        "k8s": {
            "image_pull_policy": server["image"]["pullPolicy"],
            "env_config_maps": [SETTINGS_CONFIG_MAP],
            "volume_mounts": server["volumeMounts"],
            "volumes": server["volumes"],
            **({"resources": server["resources"]} if server.get("resources") else {}),
            "namespace": NAMESPACE,
            "service_account_name": given["dagster-user-deployments"]["serviceAccount"]["name"],
            "run_k8s_config": {"pod_spec_config": {"automount_service_account_token": True}},
        }
    }


def services(given: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Deployments that stay up, as their templates put them together: webserver, daemon, code server."""
    home = given["global"]["dagsterHome"]
    instance_volume = {"name": "dagster-instance", "configMap": {"name": INSTANCE_CONFIG_MAP}}
    instance_mount = {"name": "dagster-instance", "mountPath": f"{home}/dagster.yaml", "subPath": "dagster.yaml"}
    parts = {
        "webserver": (given["dagsterWebserver"], [instance_volume], [instance_mount]),
        "daemon": (given["dagsterDaemon"], [instance_volume], [instance_mount]),
        "turnstile": (code_location(given), [], []),
    }
    made = {}
    for name, (part, volumes, mounts) in parts.items():
        container = {
            "name": "dagster",
            "image": image(part),
            "imagePullPolicy": part["image"]["pullPolicy"],
            "securityContext": part["securityContext"],
            "resources": part.get("resources", {}),
            "volumeMounts": [*mounts, *part["volumeMounts"]],
        }
        if "httpGet" in part.get("readinessProbe", {}):
            container["readinessProbe"] = part["readinessProbe"]
        elif "readinessProbe" in part:
            check = {"command": ["dagster", "api", "grpc-health-check", "-p", str(part["port"])]}
            timing = {key: value for key, value in part["readinessProbe"].items() if key != "enabled"}
            container["readinessProbe"] = {"exec": check, **timing}
        waits = {"name": "check-db-ready", "image": "postgres", "securityContext": part["securityContext"]}
        spec = {
            "securityContext": part["podSecurityContext"],
            "containers": [container],
            "volumes": [*volumes, *part["volumes"]],
        }
        if "initContainerResources" in part:
            spec["initContainers"] = [{**waits, "resources": part["initContainerResources"]}]
        made[name] = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name},
            "spec": {
                "selector": {"matchLabels": {"component": name}},
                "template": {"metadata": {"labels": {"component": name}}, "spec": spec},
            },
        }
    return made
