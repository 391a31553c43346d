"""The chart's admission policies, made from `core/admission`."""

from __future__ import annotations

from typing import Any

import yaml

from claude_operator.core.admission.policy import Policy
from claude_operator.core.admission.table import POLICIES

__all__ = ["admission_template"]

_WIDTH = 120
_NAME = "NAME-OF-THE-POLICY"
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


class _Folded(yaml.SafeDumper):
    """YAML with long texts over several lines and without quotation marks: expressions have many of their own."""

    def ignore_aliases(self, data: Any) -> bool:
        """Every value is written out."""
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=">" if len(text) > _WIDTH // 2 else None)


_Folded.add_representer(str, _text)


def admission_template() -> str:
    """The chart's file."""
    return _HEADER + _BEGIN + "".join(map(_policy, POLICIES)) + _END


def _policy(policy: Policy) -> str:
    name = f"{{{{ $fullname }}}}-{policy.suffix}"
    made = _head("ValidatingAdmissionPolicy", name) + _dump(policy.policy_spec())
    bound = _head("ValidatingAdmissionPolicyBinding", name) + _dump(policy.binding_spec(_NAME)).replace(_NAME, name)
    return f"---\n# {policy.about}\n{made}---\n{bound}{_WHERE}"


def _head(kind: str, name: str) -> str:
    return (
        f"apiVersion: admissionregistration.k8s.io/v1\nkind: {kind}\nmetadata:\n  name: {name}\n"
        '  labels: {{- include "claude-operator.labels" $part | nindent 4 }}\n'
    )


def _dump(spec: dict[str, Any]) -> str:
    """`spec` of an object; what Helm would take for its own is written so that it does not."""
    text = yaml.dump({"spec": spec}, Dumper=_Folded, sort_keys=False, allow_unicode=True, width=_WIDTH)
    return text.replace("{{", '{{ "{{" }}')
