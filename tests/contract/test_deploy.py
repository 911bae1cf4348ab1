"""No engine for containers runs where these tests do: all that can be known of the deployment files without one."""

import copy
import importlib
import ipaddress
import re
import shlex
import tomllib
import warnings

import pytest
import typer
import yaml

from contract.deploy_checks import (
    DEPLOY,
    check_compose,
    check_kubernetes,
    check_ours,
    check_ray_up,
    read_all,
    walk,
)
from contract.source_checks import ROOT, SOURCE
from phytoscope import __version__

CLUSTER = DEPLOY / "kubernetes"
DOCKERFILES = sorted((ROOT / "dockerfiles").glob("*.Dockerfile"))
COMPOSE = read_all(DEPLOY / "compose" / "docker-compose.yaml")[0]
VALUES = read_all(CLUSTER / "dagster-values.yaml")[0]
SHARED_MEMORY = "/dev/shm"  # noqa: S108 (a mount, nothing is written there)
RAY_FILES = ["ray-cluster.yaml", "ray-job.yaml"]
PLAIN = [
    (path.name, found)
    for path in sorted(CLUSTER.glob("*.yaml"))
    if path.name not in (*RAY_FILES, "dagster-values.yaml", "kustomization.yaml")
    for found in read_all(path)
]
OBJECTS = {(found["kind"], found["metadata"]["name"]): found for _, found in PLAIN}
TEXTS = sorted(path for path in [*DEPLOY.rglob("*"), *DOCKERFILES] if path.is_file())
CONSTRAINTS = dict(
    line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if re.match(r"[\w.-]+==", line)
)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def api_container():
    return OBJECTS["Deployment", "phytoscope-api"]["spec"]["template"]["spec"]["containers"][0]


@pytest.mark.parametrize(("name", "found"), PLAIN, ids=[f"{name}-{found['kind']}" for name, found in PLAIN])
def test_kubernetes_objects_are_well_formed(name, found):
    """Each object is as Kubernetes describes its kind, and a key that it does not know is found."""
    assert check_kubernetes(found) == []
    wrong = copy.deepcopy(found)
    wrong.get("spec", wrong)["no_such_key"] = 1
    assert any("no_such_key" in fault for fault in check_kubernetes(wrong))


def test_kustomization_names_every_object_file():
    """What is not named there is not applied; Dagster and Ray come by other ways."""
    named = read_all(CLUSTER / "kustomization.yaml")[0]["resources"]
    assert set(named) == {name for name, _ in PLAIN}


@pytest.mark.parametrize("name", RAY_FILES)
def test_ray_objects_are_well_formed(name):
    """The keys are KubeRay's and the pods are Kubernetes' own, and a key that neither knows is found."""
    (found,) = read_all(CLUSTER / name)
    assert check_ours("ray_objects.yaml", found) == []
    found["spec"]["no_such_key"] = 1
    assert any("no_such_key" in fault for fault in check_ours("ray_objects.yaml", found))


def test_pods_of_a_ray_cluster_are_kubernetes_own():
    """A misspelt key deep in a pod is found, too."""
    (found,) = read_all(CLUSTER / "ray-cluster.yaml")
    found["spec"]["workerGroupSpecs"][0]["template"]["spec"]["containers"][0]["imagee"] = "x"
    assert any("'imagee' was unexpected" in fault for fault in check_ours("ray_objects.yaml", found))


@pytest.mark.parametrize(
    "path",
    [(), ("postgresql",), ("dagster-user-deployments", "deployments", 0, "volumes", 0), ("dagsterDaemon", "resources")],
)
def test_values_of_the_chart_are_well_formed(path):
    """Every key is one of the chart's or of Kubernetes, and a wrong one is found wherever it stands."""
    assert check_ours("dagster_values.yaml", VALUES) == []
    wrong = copy.deepcopy(VALUES)
    place = wrong
    for step in path:
        place = place[step]
    place["no_such_key"] = {}
    assert any("no_such_key" in fault for fault in check_ours("dagster_values.yaml", wrong))


def test_compose_file_is_well_formed():
    """By the schema of the Compose specification; a wrong key is found."""
    assert check_compose(COMPOSE) == []
    wrong = copy.deepcopy(COMPOSE)
    wrong["services"]["mlflow"]["no_such_key"] = 1
    assert any("no_such_key" in fault for fault in check_compose(wrong))


def test_cluster_file_of_ray_is_well_formed():
    """By Ray's own schema; a wrong key is found, and the head is one of the node types."""
    (found,) = read_all(DEPLOY / "ray" / "cluster.yaml")
    assert check_ray_up(found) == []
    assert found["head_node_type"] in found["available_node_types"]
    found["available_node_types"]["rows"]["no_such_key"] = 1
    assert any("no_such_key" in fault for fault in check_ray_up(found))


def test_runs_that_the_chart_launches_are_well_formed_jobs():
    """Dagster itself makes the Job of a run from the values, and Kubernetes' schema accepts it."""
    from dagster_k8s.job import DagsterK8sJobConfig, UserDefinedDagsterK8sConfig, construct_dagster_k8s_job
    from kubernetes.client import ApiClient

    code = VALUES["dagster-user-deployments"]["deployments"][0]
    launcher = VALUES["runLauncher"]["config"]["k8sRunLauncher"]
    raw = launcher["runK8sConfig"]
    config = {
        "container_config": raw["containerConfig"]
        | {"env": code["env"], "volume_mounts": code["volumeMounts"], "security_context": code["securityContext"]},
        "pod_spec_config": raw["podSpecConfig"] | {"volumes": code["volumes"]},
        "job_spec_config": raw["jobSpecConfig"],
    }
    image = f"{code['image']['repository']}:{code['image']['tag']}"
    job = construct_dagster_k8s_job(
        DagsterK8sJobConfig(image, "/opt/dagster/dagster_home", launcher["imagePullPolicy"]),
        ["dagster", "api", "execute_run"],
        "run",
        UserDefinedDagsterK8sConfig.from_dict(config),
    )
    found = ApiClient().sanitize_for_serialization(job)
    assert check_kubernetes(found) == []
    pod = found["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["containers"][0]["resources"]["limits"]["memory"] == "24Gi"
    assert {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]} >= {"/workspace", SHARED_MEMORY}
    assert found["spec"]["ttlSecondsAfterFinished"] == 86400


def test_settings_of_the_instance_in_the_chart_are_dagsters(tmp_path):
    """What the chart writes into dagster.yaml from our values is accepted, and one training runs at a time."""
    from dagster import DagsterInstance

    daemon = VALUES["dagsterDaemon"]
    settings = copy.deepcopy(VALUES["additionalInstanceConfig"]) | {
        "run_monitoring": {
            "enabled": daemon["runMonitoring"]["enabled"],
            "start_timeout_seconds": daemon["runMonitoring"]["startTimeoutSeconds"],
            "poll_interval_seconds": daemon["runMonitoring"]["pollIntervalSeconds"],
        },
        "telemetry": VALUES["telemetry"],
    }
    assert daemon["runCoordinator"] == {"enabled": False}
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(settings))
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        assert instance.event_log_storage.get_pool_config().default_pool_limit == 1
        assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs == 4
        assert type(instance.run_coordinator).__name__ == "QueuedRunCoordinator"
        assert instance.telemetry_enabled is False


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_variables_exist_and_images_are_pinned(path):
    """Our environment variables are read somewhere in our code; images have a version, ours the package's own."""
    text = path.read_text(encoding="utf-8")
    code = "\n".join(file.read_text(encoding="utf-8") for file in SOURCE.rglob("*.py"))
    for name in set(re.findall(r"\bPHYTOSCOPE_[A-Z_]+\b", text)):
        assert f'"{name}"' in code, name
    images = re.findall(r"^\s*(?:- )?image: *([\w./:-]+)", text, flags=re.MULTILINE)
    images += re.findall(r"--tag (\S+)", text)
    for image in images:
        _, _, tag = image.rpartition("/")[2].partition(":")
        assert tag, f"{image} has no tag"
        assert tag != "latest"
        assert not image.startswith("registry.example.org/") or tag == __version__, image


def test_versions_are_those_that_are_tested():
    """Ray's workers must be of the driver's release, and the chart of the library's."""
    assert VALUES["dagster-user-deployments"]["deployments"][0]["image"]["tag"] == __version__
    assert f"--version {CONSTRAINTS['dagster']} " in (CLUSTER / "dagster-values.yaml").read_text()
    assert read_all(CLUSTER / "ray-cluster.yaml")[0]["spec"]["rayVersion"] == CONSTRAINTS["ray"]


def find_secrets(text):
    """Passwords and keys that are written out instead of being named."""
    faults = re.findall(r"//[^\s:/@]+:(?!\$\{)[^\s@/]+@", text)
    pattern = r"^\s*(?:- )?\"?(\w*(?:PASSWORD|SECRET|TOKEN|ACCESS_KEY)\w*)\"?\s*[:=][ \t]*(\S+)"
    faults += [name for name, value in re.findall(pattern, text, flags=re.MULTILINE) if not value.startswith("$")]
    return faults + re.findall(r"\bphy_\w+|AKIA[0-9A-Z]{16}|-----BEGIN", text)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_secret_is_written_out(path):
    """Passwords come from `.env` or from a Secret."""
    assert find_secrets(path.read_text(encoding="utf-8")) == []
    assert path.name != ".env"


@pytest.mark.parametrize(
    "text",
    ["url: postgresql://me:geheim@db/x", "  POSTGRES_PASSWORD: geheim", "MINIO_ROOT_PASSWORD=abc", "- API_TOKEN: abc"],
)
def test_a_written_secret_is_found(text):
    """The search finds what it is for."""
    assert find_secrets(text)


def test_service_is_asked_where_it_listens():
    """Ports, probes, words and grace periods of the service agree in all files."""
    from phytoscope.api.routes import router
    from phytoscope.configs.serving import compose_serve

    routes = {route.path for route in router.routes}
    container = api_container()
    words = container["args"][3:]
    config = compose_serve(words)
    (port,) = container["ports"]
    assert config.port == port["containerPort"] == 8000
    assert ipaddress.ip_address(config.host).is_unspecified
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["path"] in routes
        assert container[probe]["httpGet"]["port"] == port["name"]
    assert OBJECTS["Service", "phytoscope-api"]["spec"]["ports"][0]["targetPort"] == port["name"]
    policy = OBJECTS["NetworkPolicy", "phytoscope-api"]["spec"]["ingress"][0]["ports"]
    assert [entry["port"] for entry in policy] == [config.port]
    pod = OBJECTS["Deployment", "phytoscope-api"]["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > config.drain_s + config.stop_s
    assert config.threads == int(container["resources"]["limits"]["cpu"])
    mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
    assert any(config.keys.startswith(f"{place}/") for place in mounts)

    composed = COMPOSE["services"]["service"]
    config = compose_serve(composed["command"][3:])
    assert composed["ports"] == [f"127.0.0.1:{config.port}:{config.port}"]
    assert int(composed["stop_grace_period"].removesuffix("s")) > config.drain_s + config.stop_s
    text = (ROOT / "dockerfiles" / "api.Dockerfile").read_text()
    assert f"EXPOSE {config.port}\n" in text
    assert f"127.0.0.1:{config.port}/healthz" in text


def test_nothing_in_compose_is_open_to_the_network():
    """Without passwords of their own, pages are published on this computer only."""
    published = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_mlflow_is_asked_where_it_listens():
    """The servers, their clients and the settings of both workspaces name the same address."""
    cluster = yaml.safe_load(OBJECTS["ConfigMap", "phytoscope-settings"]["data"]["settings.yaml"])
    service = OBJECTS["Service", "phytoscope-mlflow"]
    address = f"http://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"
    assert cluster["track"]["uri"] == address
    assert {"name": "MLFLOW_TRACKING_URI", "value": address} in api_container()["env"]
    composed = yaml.safe_load((DEPLOY / "compose" / "settings.yaml").read_text())["track"]["uri"]
    assert composed == COMPOSE["services"]["service"]["environment"]["MLFLOW_TRACKING_URI"]
    assert composed.removeprefix("http://") in COMPOSE["services"]["mlflow"]["environment"][
        "MLFLOW_SERVER_ALLOWED_HOSTS"
    ].split(",")


@pytest.mark.parametrize("source", ["compose", "cluster"])
def test_settings_of_the_workspace_name_the_server(tmp_path, source):
    """Runs in containers are told to the MLflow server, not to a file."""
    from phytoscope.pipeline.workspace import Workspace

    if source == "compose":
        text = (DEPLOY / "compose" / "settings.yaml").read_text()
    else:
        text = OBJECTS["ConfigMap", "phytoscope-settings"]["data"]["settings.yaml"]
    workspace = Workspace(tmp_path)
    workspace.dataset_files.mkdir()
    workspace.settings.write_text(text)
    name = "# @package _global_\ndefaults:\n  - override /data: folder\ndata:\n  root: ../data\n"
    (workspace.dataset_files / "leaves.yaml").write_text(name)
    assert workspace.compose("leaves").track.uri == yaml.safe_load(text)["track"]["uri"]


def list_commands():
    """Commands that the files start, as lists of words."""
    found = [service["command"] for service in COMPOSE["services"].values() if "command" in service]
    found += [item["args"] for _, thing in PLAIN for item in walk(thing) if isinstance(item.get("args"), list)]
    found += [["dagster", "api", "grpc", *VALUES["dagster-user-deployments"]["deployments"][0]["dagsterApiGrpcArgs"]]]
    found += [shlex.split(read_all(CLUSTER / "ray-job.yaml")[0]["spec"]["entrypoint"])]
    (up,) = read_all(DEPLOY / "ray" / "cluster.yaml")
    found += [shlex.split(line) for key in ("head", "worker") for line in up[f"{key}_start_ray_commands"]]
    for path in DOCKERFILES:
        found += [yaml.safe_load(line) for line in re.findall(r"^CMD (\[.*\])$", path.read_text(), flags=re.MULTILINE)]
    return [[str(word) for word in words] for words in found]


PROGRAMS = {
    "phytoscope": ("phytoscope.cli", "app"),
    "dagster": ("dagster._cli", "create_dagster_cli"),
    "dagster-daemon": ("dagster._daemon.cli", "create_dagster_daemon_cli"),
    "dagster-webserver": ("dagster_webserver.cli", "create_dagster_webserver_cli"),
    "mlflow": ("mlflow.cli", "cli"),
    "ray": ("ray.scripts.scripts", "cli"),
}


def load_program(name):
    module, attribute = PROGRAMS[name]
    with warnings.catch_warnings():
        # MLflow warns of its own type hints when it is loaded.
        warnings.simplefilter("ignore")
        found = getattr(importlib.import_module(module), attribute)
    if isinstance(found, typer.Typer):
        return typer.main.get_command(found)
    return found() if attribute.startswith("create") else found


def find_command(words):
    command, rest = load_program(words[0]), list(words[1:])
    while hasattr(command, "commands") and rest and rest[0] in command.commands:
        command = command.commands[rest.pop(0)]
    return command, rest


OURS = [words for words in list_commands() if words[0] not in ("sh", "server") and not words[0].startswith("mc ")]


@pytest.mark.parametrize("words", OURS, ids=" ".join)
def test_commands_exist_with_their_options(words):
    """Each option that a file gives a command is one that the command knows."""
    command, rest = find_command(words)
    known = {option for parameter in command.params for option in parameter.opts} | {"--help", "--version"}
    given = [word.partition("=")[0] for word in rest if word.startswith("--")]
    assert [word for word in given if word not in known] == []
    assert not hasattr(command, "commands") or "--help" in rest


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_dockerfiles_name_what_exists(path):
    """Copied files exist and reach the builder, extras are the package's, and the process is not root."""
    text = path.read_text(encoding="utf-8")
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for line in re.findall(r"^COPY (?!--from)(.+) \S+$", text, flags=re.MULTILINE):
        for name in line.split():
            assert (ROOT / name).exists(), name
            assert f"!{name}" in ignored, f"{name} is kept from the builder by .dockerignore"
    for extras in re.findall(r"\"\.\[([\w,]+)\]\"", text):
        assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"])
    stages = text.split("\nFROM ")[1:]
    assert len(stages) == 2
    assert re.search(r"^USER (?!0|root)\d+:\d+$", stages[-1], flags=re.MULTILINE)
    assert "HEALTHCHECK" in stages[-1]
    for line in re.findall(r"pip install (.+)", text):
        assert "--constraint constraints.txt" in line


def test_our_pods_may_do_nothing_beside_their_work():
    """Not root, no rights to gain, a root that is read only, memory limited, and no way to the cluster's own server."""
    for found in OBJECTS.values():
        if found["kind"] not in ("Deployment", "Job"):
            continue
        pod = found["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert "memory" in container["resources"]["limits"]


def test_volumes_that_are_mounted_exist():
    """Each mount names a volume of its pod, and each claim and ConfigMap is one of ours."""
    code = VALUES["dagster-user-deployments"]["deployments"][0]
    pods = [found["spec"]["template"]["spec"] for found in OBJECTS.values() if found["kind"] in ("Deployment", "Job")]
    pods.append({"volumes": code["volumes"], "containers": [code]})
    for pod in pods:
        names = {volume["name"] for volume in pod["volumes"]}
        assert {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]} <= names
        for volume in pod["volumes"]:
            if claim := volume.get("persistentVolumeClaim"):
                assert ("PersistentVolumeClaim", claim["claimName"]) in OBJECTS
            if config := volume.get("configMap"):
                assert ("ConfigMap", config["name"]) in OBJECTS
    volumes = {
        entry.partition(":")[0] for service in COMPOSE["services"].values() for entry in service.get("volumes", [])
    }
    assert {name for name in volumes if not name.startswith(".")} == set(COMPOSE["volumes"])
    for name in volumes:
        # The user's own data.
        assert not name.startswith(".") or name == "./data" or (DEPLOY / "compose" / name).exists()
