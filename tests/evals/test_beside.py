"""What a set names is read from its folder or volume alone, whatever lies there."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from claude_operator.core.evals.sets import hash_with_files, load_items
from claude_operator.evals import beside
from claude_operator.evals.beside import Beside
from claude_operator.evals.files import read_set

PNG = b"\x89PNG\r\n\x1a\n0"
SET = "dataset: {volume: {claimName: exam, path: spring/items.jsonl}}\n"
ITEM = (
    '{"messages": [{"role": "user", "content": [{"type": "image", "source": "file://img/cat.png"}, {"type": "text",'
    ' "text": "{{what}}"}]}], "vars": {"what": "file://what.txt"}, "assert": [{"type": "is-json"}]}\n'
)


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    root = tmp_path / "volume"
    for folder in ("spring", "img"):
        (root / folder).mkdir(parents=True)
    (root / "spring" / "items.jsonl").write_text(ITEM)
    (root / "img" / "cat.png").write_bytes(PNG)
    (root / "what.txt").write_text("What is it?\n")
    (tmp_path / "set.yaml").write_text(SET)
    return root


def test_items_images_and_texts_of_a_volume(volume: Path) -> None:
    spec, contents = read_set(volume.parent / "set.yaml", None, volume)
    [item] = load_items(spec, contents)
    assert item.id == "row-1"
    assert b'"media_type":"image/png"' in item.messages
    assert b'"What is it?"' in item.messages


def test_the_sets_own_folder_stands_for_a_volume(volume: Path) -> None:
    (volume / "set.yaml").write_text(SET)
    assert [item.id for item in load_items(*read_set(volume / "set.yaml", None))] == ["row-1"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "none.jsonl",
            "there is no file none.jsonl on the volume: put the items there, or correct dataset.volume.path",
        ),
        ("../set.yaml", "file://../set.yaml is outside of the volume: put the file on the volume"),
        ("/etc/passwd.csv", "file:///etc/passwd.csv is outside of the volume"),
        ("out.jsonl", "file://out.jsonl is outside of the volume"),
        ("away/set.yaml", "file://away/set.yaml is outside of the volume"),
        ("spring", "write format: JSONL, JSON, CSV or YAML"),
        ("latin.csv", "the file latin.csv is not UTF-8 at line 2"),
        ("text.jsonl", r"text.jsonl, line 1: .*file://none.txt is not on the volume, nor a key of the ConfigMaps"),
    ],
)
def test_what_is_not_read(volume: Path, path: str, message: str) -> None:
    (volume / "out.jsonl").symlink_to(volume.parent / "set.yaml")
    (volume / "away").symlink_to(volume.parent)
    (volume / "latin.csv").write_bytes("input\ncafé\n".encode("latin-1"))
    (volume / "text.jsonl").write_text(ITEM.replace("what.txt", "none.txt"))
    (volume.parent / "set.yaml").write_text(SET.replace("spring/items.jsonl", path))
    with pytest.raises(ValueError, match=message):
        load_items(*read_set(volume.parent / "set.yaml", None, volume))


def test_links_that_stay_inside_are_followed(volume: Path) -> None:
    (volume / "current").symlink_to("spring")
    assert Beside(volume)("current/items.jsonl") == ITEM.encode()


def test_a_link_that_is_put_there_after_the_look_is_not_followed(volume: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who writes to the volume does not get at the key of the pod by being quick."""
    secret, inside = volume.parent / "api-key", volume / "what.txt"
    secret.write_text("sk-secret")
    look = Path.is_file

    def quick(path: Path, **given: bool) -> bool:
        found = look(path, **given)
        inside.unlink()
        inside.symlink_to(secret)
        return found

    monkeypatch.setattr(Path, "is_file", quick)
    with pytest.raises(ValueError, match="cannot be read"):
        Beside(volume)("what.txt")


def test_a_pipe_does_not_hang_it(volume: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(volume / "pipe.jsonl")
    assert Beside(volume)("pipe.jsonl") is None
    monkeypatch.setattr(Path, "is_file", lambda _: True)  # it has just become one
    with pytest.raises(ValueError, match="is not a file"):
        Beside(volume)("pipe.jsonl")


def test_how_much_is_read(volume: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bounded = Beside(volume, "on the volume", most=len(ITEM) + 5)
    assert bounded("spring/items.jsonl") == bounded("spring/items.jsonl"), "the same file counts once"
    with pytest.raises(ValueError, match="the files of the set have more than"):
        bounded("what.txt")
    monkeypatch.setattr(beside, "LARGEST", 5)
    with pytest.raises(ValueError, match=r"what\.txt has more than 5 bytes: use a smaller file"):
        Beside(volume)("what.txt")


def test_the_hash_names_what_was_read(volume: Path) -> None:
    read = Beside(volume)
    assert hash_with_files("0" * 64, read.digests) == "0" * 64
    read("what.txt")
    assert read.digests == {"what.txt": hashlib.sha256(b"What is it?\n").hexdigest()}
    first = hash_with_files("0" * 64, read.digests)
    assert first == hashlib.sha256(f'v1["{"0" * 64}",{{"what.txt":"{read.digests["what.txt"]}"}}]'.encode()).hexdigest()
    (volume / "what.txt").write_text("What?")
    read("what.txt")
    assert hash_with_files("0" * 64, read.digests) != first


def test_items_of_a_volume_are_not_given_as_a_file(volume: Path) -> None:
    with pytest.raises(ValueError, match="give the folder with --volume, in place of --jsonl"):
        read_set(volume.parent / "set.yaml", volume / "spring" / "items.jsonl")
