"""The .fbs files, the code generated from them, the layouts, and the frozen history agree."""

import base64
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from bench.good import good_messages
from schemas import layout, messages
from schemas.codec import decode
from schemas.errors import MalformedMessage, Reason
from schemas.generate import GENERATED, ROOM, GenerateError, find_flatc, generate, main
from tests.conftest import missing
from tests.schemas import strategies
from tests.schemas.field_list import breaks, read_field_list

HISTORY = sorted((ROOM / "history").iterdir(), key=lambda path: int(path.name))

# kept messages of named tensors, which `part.fbs` took the place of: refused whole, never read in part
RETIRED_KEPT = {6: Reason.BAD_CHECKSUM, 7: Reason.BAD_IDENTIFIER}

# what was broken -> (file, old text, new text, does flatc --conform notice)
BAD_SCHEMAS = {
    "renamed": ("frame.fbs", "quality:ubyte", "grade:ubyte", False),
    "dropped": ("telemetry.fbs", "  model:string (id: 21);\n", "", False),
    "retyped": ("frame.fbs", "width_px:uint", "width_px:ushort", True),
    "required": ("frame.fbs", "rois:[RoiBox] (id: 5)", "rois:[RoiBox] (id: 5, required)", False),
    "identifier": ("frame.fbs", '"HWFR"', '"HWFX"', False),
    "enum": ("refusal.fbs", "BUSY = 6,\n  EXPIRED = 7,", "EXPIRED = 6,\n  BUSY = 7,", True),
}


@pytest.fixture(scope="module")
def flatc():
    try:
        return find_flatc()
    except GenerateError as error:
        missing(str(error))


def _conforms(flatc, old, new) -> bool:
    # includes are looked for beside the including file first
    done = subprocess.run(
        [flatc, "--conform", old, "--conform-includes", old.parent, new], capture_output=True, check=False
    )
    return done.returncode == 0


def test_the_committed_code_is_what_flatc_generates(flatc, tmp_path):
    assert generate(tmp_path, flatc=flatc) == {
        path.name: path.read_bytes() for path in GENERATED.glob("*.py")
    }


def test_generating_with_a_broken_schema_says_what_flatc_said(flatc, tmp_path, monkeypatch):
    broken = tmp_path / "broken.fbs"
    broken.write_text("table {")
    monkeypatch.setattr("schemas.generate.schema_files", lambda: [broken])
    with pytest.raises(GenerateError, match=r"broken\.fbs"):
        generate(tmp_path, flatc=flatc)


def test_the_command_replaces_all_generated_code_and_drops_what_is_stale(flatc, tmp_path, monkeypatch):
    assert flatc
    monkeypatch.setattr("schemas.generate.GENERATED", tmp_path / "generated")
    (tmp_path / "generated").mkdir()
    (tmp_path / "generated" / "Stale.py").write_text("old")
    assert main() == 0
    assert {path.name for path in (tmp_path / "generated").iterdir()} == {
        path.name for path in GENERATED.glob("*.py")
    }


@pytest.mark.parametrize("said", ["", "flatc version 24.3.25"])
def test_no_flatc_and_another_flatc_are_refused_with_the_version_to_install(
    tmp_path, monkeypatch, capsys, said
):
    if said:
        (tmp_path / "flatc").write_text(f"#!/bin/sh\necho {said}\n")
        (tmp_path / "flatc").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HEADWAY_CACHE", str(tmp_path / "cache"))
    assert main() == 1
    assert "2.0.8" in capsys.readouterr().err


def _says(folder, version):
    folder.mkdir(parents=True)
    (folder / "flatc").write_text(f"#!/bin/sh\necho flatc version {version}\n")
    (folder / "flatc").chmod(0o755)
    return folder / "flatc"


def test_the_right_flatc_is_found_behind_a_wrong_one(tmp_path):
    _says(tmp_path / "new", "24.3.25")
    unpacked = _says(tmp_path / "cache" / "flatbuffers-compiler" / "bin", "2.0.8")
    environ = {"PATH": str(tmp_path / "new"), "HEADWAY_CACHE": str(tmp_path / "cache")}
    assert find_flatc(environ) == unpacked
    installed = _says(tmp_path / "old", "2.0.8")
    environ["PATH"] += f":{tmp_path / 'old'}"
    assert find_flatc(environ) == installed


def test_a_flatc_that_does_not_start_is_passed_over_and_told(tmp_path):
    broken = _says(tmp_path / "broken", "2.0.8")
    broken.write_bytes(b"\x7fELF of another machine")
    environ = {"PATH": str(broken.parent), "HEADWAY_CACHE": str(tmp_path / "cache")}
    with pytest.raises(GenerateError, match="says Exec format error when started"):
        find_flatc(environ)
    unpacked = _says(tmp_path / "cache" / "flatbuffers-compiler" / "bin", "2.0.8")
    assert find_flatc(environ) == unpacked


@pytest.mark.parametrize("history", HISTORY, ids=lambda path: path.name)
def test_flatc_finds_the_schemas_conform_to_every_version_in_history(flatc, history):
    for old in sorted(history.glob("*.fbs")):
        assert _conforms(flatc, old, ROOM / old.name), old.name


@pytest.mark.parametrize("history", HISTORY, ids=lambda path: path.name)
def test_no_promise_of_any_version_in_history_is_broken(history):
    assert breaks(read_field_list(history), read_field_list(ROOM)) == []


def test_the_newest_history_is_the_version_that_messages_carry():
    assert HISTORY[-1].name == str(messages.SCHEMA_VERSION)


def _bad_copy(tmp_path, name):
    file, old, new, _ = BAD_SCHEMAS[name]
    shutil.copytree(HISTORY[-1], tmp_path / "bad")
    text = (tmp_path / "bad" / file).read_text()
    assert old in text, f"the bad schema {name!r} no longer applies to {file}"
    (tmp_path / "bad" / file).write_text(text.replace(old, new))
    return tmp_path / "bad", file


@pytest.mark.parametrize("name", BAD_SCHEMAS)
def test_a_bad_schema_is_caught_by_the_field_list(tmp_path, name):
    bad, _ = _bad_copy(tmp_path, name)
    assert len(breaks(read_field_list(HISTORY[-1]), read_field_list(bad))) >= 1


@pytest.mark.parametrize("name", BAD_SCHEMAS)
def test_conform_alone_catches_only_some_bad_schemas(flatc, tmp_path, name):
    bad, file = _bad_copy(tmp_path, name)
    assert _conforms(flatc, HISTORY[-1] / file, bad / file) is not BAD_SCHEMAS[name][3]


def test_a_new_optional_field_at_the_end_breaks_nothing(tmp_path):
    shutil.copytree(HISTORY[-1], tmp_path / "good")
    path = tmp_path / "good" / "ping.fbs"
    path.write_text(
        path.read_text().replace("(id: 1, required);", "(id: 1, required);\n  hop:ubyte (id: 2);")
    )
    assert breaks(read_field_list(HISTORY[-1]), read_field_list(tmp_path / "good")) == []


def test_a_new_required_field_is_caught(tmp_path):
    shutil.copytree(HISTORY[-1], tmp_path / "bad")
    path = tmp_path / "bad" / "ping.fbs"
    path.write_text(
        path.read_text().replace("(id: 1, required);", "(id: 1, required);\n  hop:string (id: 2, required);")
    )
    assert breaks(read_field_list(HISTORY[-1]), read_field_list(tmp_path / "bad"))


def test_layouts_and_schemas_say_the_same():
    schemas = read_field_list(ROOM)
    assert set(layout.LAYOUTS) | layout.RETIRED == set(schemas.tables)
    for name, table in layout.LAYOUTS.items():
        said = [(row.name, at, row.type, row.required) for at, row in enumerate(table.fields)]
        assert said == [(fact.name, fact.id, fact.type, fact.required) for fact in schemas.tables[name]], name
        assert not any(fact.default for fact in schemas.tables[name]), (
            "walk and writer know no defaults but 0"
        )
    assert set(layout.STRUCTS) == set(schemas.structs)
    for name, enum in layout.ENUMS.items():
        assert schemas.enums[name] == {"": "ubyte"} | {member.name: str(member.value) for member in enum}
    roots = {root: identifier.decode() for root, identifier in layout.IDENTIFIERS.items()}
    said = {root: name for root, name in schemas.roots.values() if root not in layout.RETIRED}
    assert roots == said


def test_tables_nest_no_deeper_than_the_walk_may_go():
    def depth(name):
        inner = [row.type.strip("[]") for row in layout.LAYOUTS[name].fields]
        return 1 + max((depth(item) for item in inner if item in layout.LAYOUTS), default=0)

    assert max(depth(root) for root, _ in layout.ROOTS.values()) <= layout.MAX_DEPTH


@pytest.mark.parametrize("history", HISTORY, ids=lambda path: path.name)
def test_messages_written_by_every_version_in_history_still_read_the_same(history):
    """Bytes kept from back then: writer and reader cannot drift together."""
    kept = json.loads((Path(__file__).parent / f"messages_{history.name}.json").read_text())
    contents = [base64.b64decode(text) for text in kept]
    living = [content for at, content in enumerate(contents) if at not in RETIRED_KEPT]
    for message, content in zip(good_messages(), living, strict=True):
        assert strategies.plain(decode(content)) == strategies.plain(message)
    for at, reason in RETIRED_KEPT.items():
        with pytest.raises(MalformedMessage) as caught:
            decode(contents[at])
        assert caught.value.reason is reason
