"""Debian packages taken apart without root: packages built here, and an apt that is a script of the test."""

import subprocess
from pathlib import Path

import pytest

from headway import debian
from headway.errors import DebianError

if not debian.is_available():
    pytest.skip(
        "no apt-get and dpkg-deb here: Debian packages cannot be taken apart", allow_module_level=True
    )


def build_deb(
    folder: Path, package: str, files: dict[str, str], *, depends: str = "", section: str = "libs"
) -> Path:
    tree = folder / f"{package}-tree"
    (tree / "DEBIAN").mkdir(parents=True)
    fields = {
        "Package": package,
        "Version": "1.0",
        "Architecture": "all",
        "Maintainer": "Tests <tests@example.org>",
        "Section": section,
        "Depends": depends,
        "Description": "made by a test",
    }
    text = "".join(f"{name}: {value}\n" for name, value in fields.items() if value)
    (tree / "DEBIAN" / "control").write_text(text)
    for name, content in files.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(0o755)
    deb = folder / f"{package}_1.0_all.deb"
    subprocess.run(["dpkg-deb", "--build", "-Zgzip", str(tree), str(deb)], check=True, capture_output=True)
    (folder / f"{package}.show").write_text(text)
    return deb


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages that a stand-in for apt serves; LISTS says whether its lists were fetched."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "apt-get").write_text(
        "#!/bin/sh\n"
        f'mirror={folder}; echo "$@" >> $mirror/calls\n'
        "for last; do :; done\n"
        'case "$*" in\n'
        "*update*) touch $mirror/LISTS ;;\n"
        '*) [ -e $mirror/LISTS ] || { echo "E: Unable to locate package $last" >&2; exit 100; }\n'
        '   found=no; for word; do [ -e "$mirror/${word}_1.0_all.deb" ] && cp "$mirror/${word}_1.0_all.deb" . && found=yes\n'
        '   done; [ $found = yes ] || { echo "E: Unable to locate package $last" >&2; exit 100; } ;;\n'
        "esac\n"
    )
    (programs / "apt-cache").write_text(
        f"#!/bin/sh\nmirror={folder}\nfor last; do :; done\n"
        "[ -e $mirror/LISTS ] && cat $mirror/$last.show 2>/dev/null\nexit 0\n"
    )
    for program in programs.iterdir():
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    (folder / "LISTS").touch()
    return folder


def test_alternatives_versions_and_architectures_are_read_from_a_dependency_field():
    field = "libc6 (>= 2.34), libssl3 (>= 3.0.0) | libssl4, init-system-helpers:any (>= 1.5) , "
    assert debian.parse_depends(field) == [("libc6",), ("libssl3", "libssl4"), ("init-system-helpers",)]


def test_only_missing_libraries_are_followed(mirror, tmp_path):
    build_deb(mirror, "hello-server", {}, depends="libhello-one, dpkg, hello-init", section="net")
    build_deb(mirror, "libhello-one", {}, depends="libhello-absent | libhello-two (>= 1)")
    build_deb(mirror, "libhello-two", {}, depends="libhello-one")
    build_deb(mirror, "hello-init", {}, section="admin")
    assert debian.closure("hello-server", cache=tmp_path) == ["hello-server", "libhello-one", "libhello-two"]


def test_a_program_is_unpacked_with_a_launcher_that_survives_a_move(mirror, tmp_path):
    script = '#!/bin/sh\necho "hello $1 from $LD_LIBRARY_PATH"\n'
    build_deb(mirror, "hello-server", {"usr/sbin/hello": script}, depends="libhello-one", section="net")
    build_deb(mirror, "libhello-one", {"usr/lib/x/libhello.so.1": ""})
    launcher = debian.unpack_program("hello-server", "usr/sbin/hello", cache=tmp_path / "cache")
    assert launcher == tmp_path / "cache/hello-server/bin/hello"
    moved = (tmp_path / "cache/hello-server").rename(tmp_path / "elsewhere")
    said = subprocess.run([moved / "bin/hello", "you"], capture_output=True, text=True, check=True).stdout
    assert said.startswith(f"hello you from {moved}/usr/lib/x")


def test_a_second_unpacking_asks_apt_nothing(mirror, tmp_path):
    build_deb(mirror, "hello-server", {"usr/sbin/hello": "#!/bin/sh\n"}, section="net")
    debian.unpack_program("hello-server", "usr/sbin/hello", cache=tmp_path / "cache")
    (mirror / "calls").unlink()
    debian.unpack_program("hello-server", "usr/sbin/hello", cache=tmp_path / "cache")
    assert not (mirror / "calls").exists()


def test_a_program_that_does_not_start_leaves_nothing_in_its_place(mirror, tmp_path):
    build_deb(mirror, "hello-server", {"usr/sbin/hello": "#!/bin/sh\nexit 127\n"}, section="net")
    with pytest.raises(DebianError, match="does not start"):
        debian.unpack_program("hello-server", "usr/sbin/hello", cache=tmp_path / "cache")
    assert not (tmp_path / "cache/hello-server").exists()
    assert not list((tmp_path / "cache").glob(".hello-server-*"))


def test_empty_lists_are_fetched_into_the_cache_and_not_the_system(mirror, tmp_path):
    build_deb(mirror, "hello-data", {"usr/share/a.txt": "a"})
    (mirror / "LISTS").unlink()
    into = tmp_path / "into"
    into.mkdir()
    debs = debian.download(["hello-data"], cache=tmp_path / "cache", into=into)
    assert [deb.name for deb in debs] == ["hello-data_1.0_all.deb"]
    update = next(line for line in (mirror / "calls").read_text().splitlines() if line.endswith("update"))
    assert f"Dir::State::lists={tmp_path / 'cache'}" in update


def test_an_unknown_package_names_the_fix(mirror, tmp_path):
    with pytest.raises(DebianError, match="connect to the network"):
        debian.download(["hello-nowhere"], cache=tmp_path, into=tmp_path)
    with pytest.raises(DebianError, match="connect to the network"):
        debian.closure("hello-nowhere", cache=tmp_path)


def test_no_apt_names_the_fix(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DebianError, match="by your system's own means"):
        debian.download(["hello-data"], cache=tmp_path, into=tmp_path)


def test_single_files_are_read_out_of_a_package(tmp_path):
    deb = build_deb(tmp_path, "hello-data", {"usr/share/a.txt": "a", "usr/share/b.txt": "b"})
    assert debian.extract(deb, ["b.txt"]) == {"b.txt": b"b"}


def test_a_file_that_a_package_lacks_is_named(tmp_path):
    deb = build_deb(tmp_path, "hello-data", {"usr/share/a.txt": "a"})
    with pytest.raises(DebianError, match=r"c\.txt"):
        debian.extract(deb, ["c.txt"])


def test_a_damaged_package_is_refused(tmp_path):
    deb = build_deb(tmp_path, "hello-data", {"usr/share/a.txt": "a" * 5000})
    deb.write_bytes(deb.read_bytes()[:-60])
    with pytest.raises(DebianError, match="run again"):
        debian.extract(deb, ["a.txt"])
    with pytest.raises(DebianError, match="run again"):
        debian.unpack([deb], tmp_path / "tree")
