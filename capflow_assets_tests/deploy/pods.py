"""Kubernetes' objects held against the Kubernetes client's own models, and pods against the restricted standard."""

from __future__ import annotations

from typing import Any

import kubernetes.client as k8s
from dagster_k8s.models import k8s_model_from_dict, k8s_snake_case_dict

MODELS = {
    "ConfigMap": k8s.V1ConfigMap,
    "Deployment": k8s.V1Deployment,
    "Ingress": k8s.V1Ingress,
    "Job": k8s.V1Job,
    "Namespace": k8s.V1Namespace,
    "NetworkPolicy": k8s.V1NetworkPolicy,
    "PersistentVolumeClaim": k8s.V1PersistentVolumeClaim,
    "Role": k8s.V1Role,
    "RoleBinding": k8s.V1RoleBinding,
    "Service": k8s.V1Service,
    "ServiceAccount": k8s.V1ServiceAccount,
}


def model(thing: dict[str, Any]) -> Any:
    """The object as the client's model; an unknown key or a missing one is an error."""
    kind = MODELS[thing["kind"]]
    return k8s_model_from_dict(kind, k8s_snake_case_dict(kind, without_nothing(thing)))


def without_nothing(node: Any) -> Any:
    """The data without keys that have no value, as the API server takes it."""
    if isinstance(node, dict):
        return {key: without_nothing(value) for key, value in node.items() if value is not None}
    return [without_nothing(item) for item in node] if isinstance(node, list) else node


def breaches(pod: Any) -> list[str]:
    """What of a pod's specification (the client's model) breaks the restricted pod security standard."""
    problems = [f"{name} is set" for name in ("host_network", "host_pid", "host_ipc") if getattr(pod, name)]
    problems += [f"volume {volume.name} is the host's" for volume in pod.volumes or [] if volume.host_path]
    whole = pod.security_context
    if not (whole and whole.run_as_non_root and whole.run_as_user):
        problems.append("may run as root")
    if not (whole and whole.seccomp_profile and whole.seccomp_profile.type == "RuntimeDefault"):
        problems.append("no seccomp profile")
    for container in [*(pod.init_containers or []), *pod.containers]:
        own = container.security_context
        if not own or own.allow_privilege_escalation is not False or own.privileged:
            problems.append(f"{container.name} may gain privileges")
        if not own or not own.capabilities or own.capabilities.drop != ["ALL"] or own.capabilities.add:
            problems.append(f"{container.name} keeps capabilities")
        if not own or not own.read_only_root_filesystem:
            problems.append(f"{container.name} writes to its image")
        if not container.resources or not (container.resources.limits or {}).get("memory"):
            problems.append(f"{container.name} has no limit of memory")
    return problems


def selects(selector: dict[str, str], labels: dict[str, str]) -> bool:
    """Whether labels have all that a selector asks for."""
    return selector.items() <= labels.items()
