"""Programs and images, built once per machine."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

from common import BASE, HERE, need, sh

BASE_IMAGE = "localhost/python-base:bookworm"
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
WASTE = (  # of the base image
    "var/cache/apt",
    "var/lib/apt/lists",
    "var/log",
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    f"usr/lib/{os.uname().machine}-linux-gnu/gconv",
    "usr/lib/python3.11/EXTERNALLY-MANAGED",
)


def components() -> dict[str, list[str]]:
    """The programs of a cluster and their arguments, in the order of config/components."""
    text = re.sub("#.*", "", (HERE / "config/components").read_text())
    return {words[0]: words[1:] for words in map(str.split, text.split("\n\n")) if words}


def programs() -> tuple[Path, re.Match[str]]:
    """The folder of the built programs, named after their sources, and the version of Kubernetes."""
    version = re.search(r"k8s.io/kubernetes (v(\d+)\.(\d+)\S*)", (HERE / "kube/go.mod").read_text())
    assert version
    sources = sorted(path for part in ("kube", "tools") for path in (HERE / part).rglob("*") if path.is_file())
    key = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:8]
    return BASE / f"bin-{version[1]}-{key}", version


def built() -> None:
    """End with status 0 when the programs are there."""
    sys.exit(0 if programs()[0].exists() else 1)


def build() -> Path:
    """Build the programs unless they are there, and return their folder."""
    done, version = programs()
    if done.exists():
        return done
    need("go")
    tell(f"building into {done}")
    work = Path(f"{done}.{os.getpid()}")
    work.mkdir(parents=True)
    stamp = {"gitVersion": version[1], "gitMajor": version[2], "gitMinor": version[3], "gitTreeState": "clean"}
    linker = ["-s -w", *(f"-X k8s.io/component-base/version.{name}={value}" for name, value in stamp.items())]
    flags = ["-trimpath", "-buildvcs=false", "-ldflags", " ".join(linker)]
    tools = ("./coredns", "./pause", "helm.sh/helm/v3/cmd/helm")
    compile_go("[1/2] Kubernetes", HERE / "kube", work, flags, ".")
    compile_go("[2/2] CoreDNS and helm", HERE / "tools", work, flags, *tools)
    for name in [*components(), "kubectl"]:
        if name not in ("containerd", "coredns"):
            (work / name).symlink_to("kube")
    pause_image(work / "pause", work / "pause.tar")
    work.rename(done)
    return done


def compile_go(title: str, source: Path, target: Path, flags: list[str], *packages: str) -> None:
    """`go build`, telling how many of the packages that are not in Go's cache it has come to."""
    env = os.environ | {"CGO_ENABLED": "0"}
    tell(f"{title}: reading the Go modules")
    stale = ["go", "list", "-deps", "-f", "{{if .Stale}}{{.ImportPath}}{{end}}", *flags, *packages]
    total = len(sh(*stale, cwd=source, env=env, stdout=subprocess.PIPE, text=True).stdout.split())
    words = ["go", "build", "-v", *flags, "-o", f"{target}/", *packages]
    count = 0
    with subprocess.Popen(words, cwd=source, env=env, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr or ():
            name = line.strip()
            if " " in name:  # not a package, but what is wrong with one
                print(name, file=sys.stderr, flush=True)
                continue
            count += 1
            tell(f"{title}: package {min(count, total)} of {total}" + (", and linking" if count >= total else ""))
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, words)


def tell(text: str) -> None:
    """Say how far it is."""
    print(f"cluster: {text}", file=sys.stderr, flush=True)


def pause_image(program: Path, archive: Path) -> None:
    """Write the one-file image that holds each pod's namespaces open."""

    def write(target: dict[str, Any], **files: bytes) -> None:
        with tarfile.open(mode="w", **target) as tar:
            for name, data in files.items():
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = len(data), 0o755
                tar.addfile(entry, io.BytesIO(data))

    layer = io.BytesIO()
    write({"fileobj": layer}, pause=program.read_bytes())
    digest = hashlib.sha256(layer.getvalue()).hexdigest()
    config = {
        "os": "linux",
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine],
        "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    manifest = [{"Config": "config", "RepoTags": ["localhost/pause:1"], "Layers": ["layer"]}]
    parts = {"config": json.dumps(config).encode(), "manifest.json": json.dumps(manifest).encode()}
    write({"name": archive}, layer=layer.getvalue(), **parts)


def buildah(*args: object, **options: Any) -> subprocess.CompletedProcess[Any]:
    """Run buildah on this folder's own storage."""
    storage = ["--root", BASE / "images", "--runroot", BASE / "images/run", "--storage-driver", "overlay"]
    env = os.environ | {"BUILDAH_ISOLATION": "chroot"}
    return sh("unshare", "--mount", "buildah", *storage, *args, env=env, **options)  # it leaves mounts behind


def base_image() -> None:
    """Make an image like the official python one from Debian's packages, unless it is there."""
    need("buildah", "debootstrap")
    listed = buildah("images", "--format", "{{.Name}}:{{.Tag}}", stdout=subprocess.PIPE, text=True)
    if BASE_IMAGE in listed.stdout:
        return
    work = BASE / f"base-image.{os.getpid()}"
    root = work / "root"
    packages = "--include=python-is-python3,python3-pip"
    try:
        work.mkdir(parents=True)
        sh("debootstrap", "--variant=minbase", packages, "bookworm", root, stdout=sys.stderr)
        sh("rm", "-r", *(root / waste for waste in WASTE if (root / waste).exists()))
        sh("tar", "-C", root, "-cf", work / "root.tar", ".")
        shutil.rmtree(root)
        buildah("build", "--quiet", "--file", HERE / "config/Dockerfile.base", "-t", BASE_IMAGE, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def image(tag: str, context: str, out: str, *options: str) -> None:
    """Build CONTEXT's Dockerfile and write an archive that `load` takes."""
    base_image()
    # RUN steps see the machine's certificates, for pip; no layer keeps them.
    lend = ["--volume", f"{CA_BUNDLE}:{CA_BUNDLE}:ro"] if CA_BUNDLE.exists() else []
    base = ["--pull-never", "--build-arg", f"BASE_IMAGE={BASE_IMAGE}"]
    buildah("build", "--layers", "--force-rm", "--network", "host", "-t", tag, *base, *lend, *options, context)
    Path(out).unlink(missing_ok=True)
    buildah("push", "--quiet", tag, f"docker-archive:{out}:{tag}")
