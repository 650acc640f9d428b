"""What is not a Python package: found first, fetched next, and a clear word where neither works."""

from pathlib import Path

import pytest

from broker.errors import MosquittoMissing
from headway import debian, provision
from headway.errors import DebianError, ProvisionError


@pytest.fixture
def no_mosquitto(monkeypatch, tmp_path):
    """A machine without Mosquitto, apt and brew; returns where programs of a test go."""

    def find(cache: Path) -> Path:
        path = cache / "bin" / "mosquitto"
        if path.exists():
            return path
        raise MosquittoMissing("no mosquitto program found")

    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setattr(provision, "find_mosquitto", find)
    monkeypatch.setenv("PATH", str(programs))
    return programs


def test_a_mosquitto_that_is_there_is_taken(mosquitto_binary, cache):
    assert provision.ensure_mosquitto(cache) == mosquitto_binary


def test_debian_packages_come_next(no_mosquitto, monkeypatch, tmp_path):
    monkeypatch.setattr(debian, "is_available", lambda: True)
    monkeypatch.setattr(debian, "unpack_program", lambda package, _, *, cache: cache / package)
    assert provision.ensure_mosquitto(tmp_path) == tmp_path / "mosquitto"


def test_a_failing_apt_names_what_to_install(no_mosquitto, monkeypatch, tmp_path):
    def fail(*_, **__):
        raise DebianError("no network")

    monkeypatch.setattr(debian, "is_available", lambda: True)
    monkeypatch.setattr(debian, "unpack_program", fail)
    with pytest.raises(ProvisionError, match="package manager"):
        provision.ensure_mosquitto(tmp_path)


def test_brew_installs_it_on_macos(no_mosquitto, tmp_path):
    target = tmp_path / "bin" / "mosquitto"
    brew = no_mosquitto / "brew"
    brew.write_text(f"#!/bin/sh\n/bin/mkdir -p {target.parent}\n: > {target}\n")
    brew.chmod(0o755)
    assert provision.ensure_mosquitto(tmp_path) == target


def test_a_failing_brew_is_quoted(no_mosquitto, tmp_path):
    brew = no_mosquitto / "brew"
    brew.write_text("#!/bin/sh\necho no formula >&2\nexit 1\n")
    brew.chmod(0o755)
    with pytest.raises(ProvisionError, match="no formula"):
        provision.ensure_mosquitto(tmp_path)


def test_neither_apt_nor_brew_names_what_to_install(no_mosquitto, tmp_path):
    with pytest.raises(ProvisionError, match="neither apt-get nor brew"):
        provision.ensure_mosquitto(tmp_path)


def write_flatc(folder, version):
    folder.mkdir(parents=True, exist_ok=True)
    flatc = folder / "flatc"
    flatc.write_text(f"#!/bin/sh\necho flatc version {version}\n")
    flatc.chmod(0o755)
    return flatc


def unpacking(version):
    """Stands in for Debian's package: a flatc of this version."""

    def unpack(package, program, *, cache):
        assert (package, program) == ("flatbuffers-compiler", "usr/bin/flatc")
        return write_flatc(cache / package / "bin", version)

    return unpack


def test_flatc_comes_from_debian_where_there_is_none(no_mosquitto, monkeypatch, tmp_path):
    monkeypatch.setattr(debian, "unpack_program", unpacking("2.0.8"))
    assert provision.ensure_flatc(tmp_path) == tmp_path / "flatbuffers-compiler" / "bin" / "flatc"


def test_a_flatc_of_our_version_on_the_path_is_taken(no_mosquitto, tmp_path):
    installed = write_flatc(no_mosquitto, "2.0.8")
    assert provision.ensure_flatc(tmp_path) == installed


def test_a_flatc_of_another_version_on_the_path_is_passed_over(no_mosquitto, monkeypatch, tmp_path):
    write_flatc(no_mosquitto, "24.3.25")
    monkeypatch.setattr(debian, "unpack_program", unpacking("2.0.8"))
    unpacked = provision.ensure_flatc(tmp_path)
    assert unpacked == tmp_path / "flatbuffers-compiler" / "bin" / "flatc"
    monkeypatch.setattr(debian, "unpack_program", None)  # the second time it is there
    assert provision.ensure_flatc(tmp_path) == unpacked


def test_a_debian_with_another_flatc_says_which_one_is_needed(no_mosquitto, monkeypatch, tmp_path):
    monkeypatch.setattr(debian, "unpack_program", unpacking("23.5.26"))
    with pytest.raises(ProvisionError, match=r"no flatc: no flatc 2\.0\.8.*says flatc version 23\.5\.26"):
        provision.ensure_flatc(tmp_path)


def test_no_flatc_and_no_apt_names_the_fix(no_mosquitto, tmp_path):
    with pytest.raises(ProvisionError, match="no flatc: no apt-get here"):
        provision.ensure_flatc(tmp_path)


def test_the_command_says_what_it_got(monkeypatch, capsys):
    monkeypatch.setattr(provision, "THINGS", {"tea": lambda _: "tea in the cup"})
    assert provision.main(["tea"]) == 0
    assert "tea in the cup" in capsys.readouterr().out


def test_the_command_ends_with_the_fix(monkeypatch, capsys):
    def fail(_):
        raise ProvisionError("no tea: boil water")

    monkeypatch.setattr(provision, "THINGS", {"tea": fail})
    assert provision.main(["tea"]) == 3
    assert "no tea: boil water" in capsys.readouterr().err


def test_an_unknown_thing_is_a_usage_error(capsys):
    assert provision.main(["coffee"]) == 2
    assert "mosquitto" in capsys.readouterr().err
