"""CustomResourceDefinitions, made from the pydantic models: `claude-operator crds`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from claude_operator.api.base import GROUP, VERSION
from claude_operator.api.kinds import KINDS, Column, Kind, object_schema
from claude_operator.crds.admission import admission_template
from claude_operator.crds.reference import reference

_HEADER = "# Made by `make crds` from operator/claude_operator/api; edit the models there.\n"


def crd(kind: Kind) -> dict[str, Any]:
    """The CustomResourceDefinition of a kind."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.kind.lower(),
                "shortNames": [kind.short],
                "categories": ["claude"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [_column(column) for column in kind.columns],
                    "schema": {"openAPIV3Schema": object_schema(kind)},
                }
            ],
        },
    }


def _column(column: Column) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": column.name, "type": column.type, "jsonPath": column.path}
    if column.description:
        entry["description"] = column.description
    return entry | ({"priority": 1} if column.wide else {})


class _Plain(yaml.SafeDumper):
    """YAML without anchors: the same rule stands in several places."""

    def ignore_aliases(self, data: Any) -> bool:
        """Every value is written out."""
        return True


def manifest(kind: Kind) -> str:
    """The file in `crds/`."""
    return _HEADER + _dump(crd(kind))


def chart_template(kind: Kind) -> str:
    """The chart's copy: installed unless `crds.install` is false, and kept when the release is uninstalled."""
    document = crd(kind)
    document["metadata"]["annotations"] = {"helm.sh/resource-policy": "keep"}
    body = _dump(document).replace("{{", '{{ "{{" }}')
    return f"{_HEADER}{{{{- if .Values.crds.install }}}}\n{body}{{{{- end }}}}\n"


def _dump(document: dict[str, Any]) -> str:
    return yaml.dump(document, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=110)


def files(output: Path | None, chart: Path | None, docs: Path | None) -> dict[Path, str]:
    """Every file to write, by path."""
    targets: list[tuple[Path | None, Callable[[Kind], str]]] = [(output, manifest), (chart, chart_template)]
    found = {
        folder / f"{kind.plural}.yaml": render(kind)
        for folder, render in targets
        if folder is not None
        for kind in KINDS
    }
    found |= {chart.parent / "admission.yaml": admission_template()} if chart else {}
    return found | ({docs: reference({kind.kind: object_schema(kind) for kind in KINDS})} if docs else {})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `claude-operator crds`."""
    parser.add_argument("--output", type=Path, metavar="DIR", help="write the plain manifests there")
    parser.add_argument(
        "--chart", type=Path, metavar="DIR", help="write the chart's templates there, and admission.yaml beside them"
    )
    parser.add_argument("--docs", type=Path, metavar="FILE", help="write the API reference there, as Markdown")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 and name the files that differ")


def run(args: argparse.Namespace) -> int:
    """Write or check the files; without options print the manifests."""
    wanted = files(args.output, args.chart, args.docs)
    if not wanted:
        sys.stdout.write("---\n".join(manifest(kind) for kind in KINDS))
        return 0
    drifted = [path for path, text in wanted.items() if not path.is_file() or path.read_text() != text]
    if args.check:
        for path in drifted:
            sys.stderr.write(f"{path} differs from the models: run `make crds`\n")
        return 1 if drifted else 0
    for path in drifted:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted[path])
        sys.stderr.write(f"wrote {path}\n")
    return 0
