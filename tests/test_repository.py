"""What holds of the repository as a whole."""

from __future__ import annotations

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
_PINNED = (".", "hack", "tests/clients/python")
REQUIREMENTS = [file for folder in _PINNED for file in sorted((ROOT / folder).glob("requirements*.txt"))]
SUPPORTED = ("3.11", "3.12", "3.13")


@cache
def python(version: str) -> str | None:
    """Return a Python of this version that runs: from PATH, or one that pyenv has installed."""
    installed = (Path.home() / ".pyenv/versions").glob(f"{version}.*/bin/python")
    for candidate in (f"python{version}", *map(str, sorted(installed))):
        try:
            result = subprocess.run([candidate, "-V"], check=False, capture_output=True, text=True)
        except OSError:
            continue
        if result.stdout.startswith(f"Python {version}."):
            return candidate
    return None


def tracked() -> list[Path]:
    """Return the files that git has, or would take."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(words, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not in a git checkout")
    return [ROOT / name for name in listed.split("\0") if (ROOT / name).is_file()]


def test_operator_is_a_plain_folder() -> None:
    assert (ROOT / "operator").is_dir()
    assert not (ROOT / "operator/__init__.py").exists()


@pytest.mark.parametrize("version", SUPPORTED)
def test_operator_is_the_standard_librarys(version: str) -> None:
    interpreter = python(version)
    if not interpreter:
        pytest.skip(f"no Python {version} here")
    # `-c` puts the current folder first in the path; a fresh import looks there, though start-up has imported it.
    code = (
        "import sys; sys.modules.pop('operator', None); import operator; print(operator.__file__, operator.add(1, 2))"
    )
    words = [interpreter, "-c", code]
    result = subprocess.run(words, check=True, capture_output=True, text=True, cwd=ROOT, env={"PATH": "/usr/bin:/bin"})
    file, total = result.stdout.rsplit(maxsplit=1)
    assert not Path(file).is_relative_to(ROOT)
    assert total == "3"


def test_requirements_are_found() -> None:
    assert {file.name for file in REQUIREMENTS} >= {"requirements.txt", "requirements-dev.txt", "requirements-go.txt"}


@pytest.mark.parametrize("file", REQUIREMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_requirements_are_pinned_by_hash_and_name_no_host(file: Path) -> None:
    text = file.read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert lines
    for line in lines:
        requirement, *hashes = re.split(r"\s+--hash=", line.strip())
        assert re.match(r"[a-z0-9._-]+==[^\s;]+( ;.*)?$", requirement), f"not a pinned name: {requirement}"
        assert hashes, f"{requirement} has no hash"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in hashes)
    assert "://" not in text
    assert not re.search(r"^\s*(-i|--(extra-)?index-url|-f|--find-links|--trusted-host)\b", text, re.MULTILINE)


def test_every_make_target_has_a_line_of_help() -> None:
    text = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][\w-]*):(?!=)", text, re.MULTILINE))
    phony = set(re.findall(r"^\.PHONY:(.*)$", text, re.MULTILINE)[0].split())
    assert targets == phony
    help_lines = subprocess.run(["make", "help"], check=True, capture_output=True, text=True, cwd=ROOT).stdout
    described = dict(re.findall(r"^  make (\S+) +(\S.*)$", help_lines, re.MULTILINE))
    assert set(described) == targets


def test_the_image_is_named_by_all_that_goes_into_it() -> None:
    allowed = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    [hashed] = re.findall(r"^CONTEXT = \((.*?)\)$", (ROOT / "hack/image.py").read_text(), re.MULTILINE)
    assert set(" ".join(copied).split()) == allowed
    assert set(re.findall(r'"([^"]+)"', hashed)) == allowed


def test_no_file_names_a_path_of_one_machine() -> None:
    wrong = re.compile(r"(?<![\w}])/(work|root|home/[a-z]+)/")  # not /proc/{pid}/root/
    found = []
    for file in tracked():
        try:
            text = file.read_text()
        except UnicodeDecodeError:
            continue
        found += [f"{file.relative_to(ROOT)}: {line.strip()[:100]}" for line in text.splitlines() if wrong.search(line)]
    assert not found


def test_links_in_documents_lead_somewhere() -> None:
    broken = []
    for file in tracked():
        if file.suffix == ".md":
            for target in re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", file.read_text()):
                if not (file.parent / target).exists():
                    broken.append(f"{file.relative_to(ROOT)}: {target}")
    assert not broken


PACKAGE = ROOT / "operator/claude_operator"
_CLOCK = re.compile(r"\.now\(|\.utcnow\(|\.today\(|\bperf_counter\b|\bmonotonic\(")


def test_the_core_reads_no_clock() -> None:
    found = [path for path in sorted((PACKAGE / "core").rglob("*.py")) if _CLOCK.search(path.read_text())]
    assert not found, "a pass gets its time from the shell, as Observation.now"


BANNED = re.compile(
    r"\b(of late|anew|whoever|for ever|goes on|once more|are no more|more are needed|is over at once"
    r"|(?:is|are) no (?:\w+ )?(?:time|name|number|list|object|duration|text|URL)s?)\b"
)


def test_messages_are_plain_english() -> None:
    """Docstrings and comments are for us; a message has a subject, a verb, and what to do."""
    found = []
    for path in (ROOT / "operator").rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
        docstrings = {node.value for node in nodes if isinstance(node, ast.Expr)}
        texts = [node for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
        found += [
            f"{path.relative_to(ROOT)}:{node.lineno}: {match[0]}"
            for node in texts
            if node not in docstrings and (match := BANNED.search(node.value))
        ]
    assert found == []


def test_modules_and_functions_stay_small() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in PACKAGE.rglob("*.py")}
    assert {str(path): length for path, length in lengths.items() if length > 400} == {}
    functions = [
        (node.end_lineno or node.lineno) - node.lineno + 1
        for path in lengths
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert sum(length > 60 for length in functions) < 0.01 * len(functions)
