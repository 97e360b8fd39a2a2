"""Checks that what each environment's values ask for has room on the nodes that Terraform makes for it: the smallest number of
pods and one more while they are replaced, the drift job, and what stands beside them, on `min` nodes; where a zone may be lost,
on one fewer. And the autoscaler's largest number on `max`. `nodes.py <repository>` prints one line for each. CPU alone,
which runs out first on nodes of 2 GiB a CPU."""

import sys
from pathlib import Path

import hcl2
import yaml

root = Path(sys.argv[1])
VIRTUAL_CPUS = {"large": 2, "xlarge": 4, "2xlarge": 8, "4xlarge": 16}
# What EKS' add-ons ask for, in thousandths of a CPU: aws-node, kube-proxy and ebs-csi-node on each node; two each of CoreDNS,
# metrics-server and ebs-csi-controller (six containers of 10).
ON_EACH_NODE = 50 + 100 + 30
ADD_ONS = [100, 100, 100, 100, 60, 60]


def allocatable(cpus):
    """A node's CPU without what EKS keeps for the kubelet: 6 % of the first core, 1 % of the second, 0.5 % of two more, 0.25 %
    of the rest."""
    return cpus * 1000 - sum([60, 10, 5, 5][:cpus]) - 2.5 * max(cpus - 4, 0)


def thousandths(cpu):
    text = str(cpu)
    return float(text[:-1]) if text.endswith("m") else float(text) * 1000


def asked(values):
    return thousandths(values["resources"]["requests"]["cpu"])


def merged(base, over):
    both = isinstance(base, dict) and isinstance(over, dict)
    return {key: merged(base.get(key), over[key]) if key in over else base[key] for key in {**base, **over}} if both else over


def needed(pods, room):
    """How many nodes, each pod placed on the first with room, the largest first: a scheduler does hardly better."""
    free = []
    for pod in sorted(pods, reverse=True):
        place = next((index for index, left in enumerate(free) if left >= pod), None)
        if place is None:
            free.append(room)
            place = -1
        free[place] -= pod
    return len(free)


def read(path):
    return yaml.safe_load((root / path).read_text()) or {}


def clean(value):
    return value.strip('"') if isinstance(value, str) else value


def environment(path):
    (module,) = hcl2.loads(path.read_text())["module"]
    body = {key.strip('"'): value[0] if isinstance(value, list) else value for key, value in module.get("platform", module.get('"platform"')).items()}
    nodes = {key.strip('"'): clean(value) for key, value in body["nodes"].items()}
    return clean(body["environment"]), nodes, body["protected"]


monitoring, mlflow = read("argocd/platform/monitoring.yaml"), read("argocd/platform/mlflow.yaml")
beside = ADD_ONS + [asked(monitoring["prometheus"]["prometheusSpec"]), asked(monitoring["grafana"])] + [asked(mlflow)] * mlflow["replicaCount"]

for path in sorted((root / "terraform/envs").glob("*/main.tf")):
    name, nodes, protected = environment(path)
    values = merged(read("helm/hodoscope/values.yaml"), read(f"argocd/environments/{name}.yaml"))
    size = clean(nodes["type"]).split(".")[1]
    room = allocatable(VIRTUAL_CPUS[size]) - ON_EACH_NODE
    jobs = beside + [asked(values["drift"])] + ([asked(values["uploads"])] if values["uploads"]["enabled"] else [])
    for word, pods, have in [("min", values["autoscaling"]["minReplicas"], nodes["min"] - protected), ("max", values["autoscaling"]["maxReplicas"], nodes["max"])]:
        need = needed(jobs + [asked(values["serve"])] * (pods + 1), room)
        told = f"{name}: {pods} pods, one more and what stands beside them need {need} {nodes['type']}, of {word} {have}"
        print(f"{'ok   ' if need <= have else 'FAIL '} {told}{', a zone lost' if protected and word == 'min' else ''}")
