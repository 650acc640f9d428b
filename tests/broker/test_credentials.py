"""Passwords come from a file of their owner's, and a wrong one is said at once."""

import os

import pytest

from broker.access import own_id
from broker.credentials import MAX_PASSWORD_BYTES, read_password
from broker.errors import BrokerRefused, RoadMisuse
from broker.external import check_login
from broker.mosquitto import EmbeddedMosquitto


def write(path, content=b"correct horse\n", *, mode=0o600):
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_one_line_is_the_password_without_its_line_end(tmp_path, mode):
    assert read_password(write(tmp_path / "p", mode=mode)) == "correct horse"
    assert read_password(write(tmp_path / "q", b" spaces stay ")) == " spaces stay "


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610])
def test_a_file_that_others_may_use_is_refused_with_the_fix(tmp_path, mode):
    with pytest.raises(RoadMisuse, match="chmod 600"):
        read_password(write(tmp_path / "p", mode=mode))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "one line"),
        (b"\n", "one line"),
        (b"first\nsecond\n", "one line"),
        (b"\xff\xfe", "one line"),
        (b"x" * (MAX_PASSWORD_BYTES + 1), "longer than"),
    ],
)
def test_a_file_that_holds_no_password_is_refused_without_showing_it(tmp_path, content, says):
    with pytest.raises(RoadMisuse, match=says) as caught:
        read_password(write(tmp_path / "p", content))
    assert "first" not in str(caught.value)


def test_what_is_no_file_is_refused_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(RoadMisuse, match="regular file"):
            read_password(path)
    with pytest.raises(RoadMisuse, match="cannot be read"):
        read_password(tmp_path / "gone")


def test_the_id_in_a_user_name_is_what_stands_behind_its_role():
    assert own_id("integration.wall") == "wall"
    assert [own_id(name) for name in ("", "wall", "nobody.wall", "device.")] == [None] * 4


def test_a_login_is_tried_beforehand_and_only_a_no_counts(mosquitto_binary, tmp_path, free_port):
    users = {"worker.w-1": "a long password"}
    acl = "user worker.w-1\ntopic readwrite #\n"
    with EmbeddedMosquitto(mosquitto_binary, tmp_path / "broker", acl=acl, users=users) as broker:
        for protocol in (5, 311):
            known = {"username": "worker.w-1", "protocol": protocol}
            check_login(broker.url, password="a long password", **known)
            with pytest.raises(BrokerRefused, match="--password-file"):
                check_login(broker.url, password="a wrong password", **known)
            with pytest.raises(BrokerRefused, match="without a user name"):
                check_login(broker.url, username=None, password=None, protocol=protocol)
    check_login(f"mqtt://127.0.0.1:{free_port()}", username="worker.w-1", password="any")
