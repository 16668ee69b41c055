#!/usr/bin/env python3
"""Checks what Dockerfile, compose.yaml and the Kubernetes manifest promise: nobody is root, nothing but the data directory can be
written, health is checked, replicas have a directory each, what is named exists, and nothing is published beyond this machine."""
import pathlib
import re
import sys
import tomllib

try:
    import yaml
except ImportError:
    sys.exit("check-containers: PyYAML is missing; install python3-yaml")

ROOT = pathlib.Path(__file__).resolve().parent.parent
problems = []


def expect(is_so, what):
    if not is_so:
        problems.append(what)


def check_dockerfile():
    text = (ROOT / "Dockerfile").read_text()
    final = re.split(r"^FROM ", text, flags=re.M)[-1]
    expect(final.startswith("gcr.io/distroless/cc-"), "Dockerfile: the last stage has more than the C library")
    user = re.search(r"^USER (\d+):(\d+)$", final, flags=re.M)
    expect(user and "0" not in user.groups(), "Dockerfile: the user is root, or named instead of numbered")
    health = '"health"]' in final
    expect("HEALTHCHECK" in final and health, "Dockerfile: no health check by `codex-gateway health`")
    build = (ROOT / "scripts/dist/build-program.sh").read_text()
    expect("scripts/dist/build-program.sh" in text and "--locked" in build, "Dockerfile: the build is not --locked")
    toolchain = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["rust-version"]
    expect(f"rust:{toolchain}" in text, f"Dockerfile: the toolchain is not {toolchain}, as Cargo.toml says")


def check_compose():
    compose = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
    services, volumes = compose["services"], compose["volumes"]
    expect(set(services) == {"gateway-1", "gateway-2", "postgres", "prometheus", "grafana"}, "compose: other services than documented")
    data = []
    for name, service in services.items():
        for port in service.get("ports", []):
            expect(port.startswith("127.0.0.1:"), f"compose: {name} publishes {port} beyond this machine")
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                expect((ROOT / "deploy" / source).exists(), f"compose: {name} mounts {source}, which is not there")
            else:
                expect(source in volumes, f"compose: {name} mounts the volume {source}, which is not declared")
        if not name.startswith("gateway"):
            continue
        expect(service.get("read_only") is True, f"compose: {name} can write its file system")
        expect(service.get("cap_drop") == ["ALL"], f"compose: {name} keeps capabilities")
        expect("no-new-privileges:true" in service.get("security_opt", []), f"compose: {name} can gain privileges")
        expect(int(service["stop_grace_period"].rstrip("s")) > 120, f"compose: {name} is killed before `shutdown_grace` is over")
        data += [volume for volume in service["volumes"] if volume.endswith(":/data")]
    expect(len(set(data)) == 2, "compose: the replicas do not have a data directory each")
    prometheus = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yaml").read_text())
    targets = [t for job in prometheus["scrape_configs"] for c in job["static_configs"] for t in c["targets"]]
    hosts = tomllib.loads((ROOT / "config/examples/team-postgres.toml").read_text())["server"]["hosts"]
    for target in targets:
        host = target.split(":")[0]
        expect(host in services or host in ("localhost", "127.0.0.1"), f"prometheus: {target} is no service of compose.yaml")
        expect(host in hosts or host in ("localhost", "127.0.0.1"), f"prometheus: {host} is not among `hosts` of the example: its scrapes are refused")


def check_kubernetes():
    parts = list(yaml.safe_load_all((ROOT / "deploy/kubernetes/codex-gateway.yaml").read_text()))
    expect(all(part.get("apiVersion") and part.get("kind") and part["metadata"].get("name") for part in parts), "kubernetes: a part without kind or name")
    (workload,) = [part for part in parts if part["kind"] == "StatefulSet"]
    pod = workload["spec"]["template"]["spec"]
    expect(workload["spec"]["replicas"] >= 2, "kubernetes: one replica only")
    expect(pod["securityContext"].get("runAsNonRoot") is True, "kubernetes: the pod may run as root")
    expect(pod.get("automountServiceAccountToken") is False, "kubernetes: the pod has a token for the cluster")
    expect(pod["terminationGracePeriodSeconds"] > 120, "kubernetes: the pod is killed before `shutdown_grace` is over")
    names = {volume["name"] for volume in pod["volumes"]} | {claim["metadata"]["name"] for claim in workload["spec"]["volumeClaimTemplates"]}
    for container in pod["containers"]:
        context = container["securityContext"]
        expect(context.get("readOnlyRootFilesystem") is True, "kubernetes: the container can write its file system")
        expect(context.get("allowPrivilegeEscalation") is False, "kubernetes: the container can gain privileges")
        expect(context["capabilities"] == {"drop": ["ALL"]}, "kubernetes: the container keeps capabilities")
        expect("livenessProbe" in container and "readinessProbe" in container, "kubernetes: a probe is missing")
        for mount in container["volumeMounts"]:
            expect(mount["name"] in names, f"kubernetes: the volume {mount['name']} is not declared")
    (config,) = [part for part in parts if part["kind"] == "ConfigMap"]
    example = (ROOT / "config/examples/team-postgres.toml").read_text()
    expect(config["data"]["gateway.toml"].strip() == example.strip(), "kubernetes: gateway.toml differs from the example")
    selector = workload["spec"]["selector"]["matchLabels"]
    services = {part["metadata"]["name"]: part for part in parts if part["kind"] == "Service"}
    headless = services.get(workload["spec"]["serviceName"], {"spec": {}})
    expect(headless["spec"].get("clusterIP") == "None", "kubernetes: the replicas have no headless service")
    hosts = tomllib.loads(config["data"]["gateway.toml"])["server"]["hosts"]
    name, domain = workload["metadata"]["name"], "default.svc.cluster.local"
    (front,) = services.keys() - {workload["spec"]["serviceName"]}
    full = [f"{front}.{domain}"] + [f"{name}-{number}.{workload['spec']['serviceName']}.{domain}" for number in range(workload["spec"]["replicas"])]
    for host in [front, f"{front}.default", f"{front}.default.svc", *full]:
        expect(host in hosts, f"kubernetes: {host} is not in `hosts`")
    for part in parts:
        if part["kind"] == "Service":
            expect(part["spec"]["selector"] == selector, "kubernetes: the service selects other pods")
        if part["kind"] == "PodDisruptionBudget":
            expect(part["spec"]["selector"]["matchLabels"] == selector, "kubernetes: the disruption budget selects other pods")


check_dockerfile()
check_compose()
check_kubernetes()
for problem in problems:
    print(f"check-containers: {problem}", file=sys.stderr)
if problems:
    sys.exit(1)
print("Dockerfile, compose.yaml and the Kubernetes manifest keep what they promise")
