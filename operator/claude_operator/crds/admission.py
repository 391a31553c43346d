"""The chart's admission policies, made from `core/admission`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from claude_operator.core.admission.policy import Policy
from claude_operator.core.admission.table import POLICIES

__all__ = ["admission_template"]

_HEADER = "# Made by `make crds` from operator/claude_operator/core/admission; edit the rules there.\n"
_BEGIN = """{{- if and .Values.crds.install .Values.admission.enabled }}
{{- $fullname := include "claude-operator.fullname" . }}
{{- $part := dict "root" $ "component" "operator" }}
"""
_END = "{{- end }}\n"
_WHERE = """  {{- with .Values.watchNamespaces }}
  matchResources:
    namespaceSelector:
      matchExpressions:
      - {key: kubernetes.io/metadata.name, operator: In, values: {{ toJson . }}}
  {{- end }}
"""


def admission_template(dump: Callable[[dict[str, Any]], str]) -> str:
    """The chart's file. `dump` writes YAML."""
    return _HEADER + _BEGIN + "".join(_policy(policy, dump) for policy in POLICIES) + _END


def _policy(policy: Policy, dump: Callable[[dict[str, Any]], str]) -> str:
    about = f"# {policy.about}\n"
    made = _object("ValidatingAdmissionPolicy", policy, {"spec": policy.policy_spec()}, dump)
    name = f"{{{{ $fullname }}}}-{policy.suffix}"
    spec = dump({"spec": policy.binding_spec(_NAME)}).replace(_NAME, name)
    bound = _head("ValidatingAdmissionPolicyBinding", policy) + spec + _WHERE
    return f"---\n{about}{made}---\n{bound}"


_NAME = "NAME-OF-THE-POLICY"


def _object(kind: str, policy: Policy, spec: dict[str, Any], dump: Callable[[dict[str, Any]], str]) -> str:
    return _head(kind, policy) + dump(spec).replace("{{", '{{ "{{" }}')


def _head(kind: str, policy: Policy) -> str:
    return (
        f"apiVersion: admissionregistration.k8s.io/v1\nkind: {kind}\nmetadata:\n"
        f"  name: {{{{ $fullname }}}}-{policy.suffix}\n"
        '  labels: {{- include "claude-operator.labels" $part | nindent 4 }}\n'
    )
