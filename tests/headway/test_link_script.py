"""Scripts and recordings of links: what they mean, and what their errors name."""

import json
from pathlib import Path
from statistics import median

import pytest

from headway.link_script import ALWAYS, KINDS, read_script, spec_of
from headway.link_spec import Direction, Jitter, Leg, LinkSpecError, Phase, Window
from headway.link_trace import is_ping_log, read_delays, read_deliveries

REPOSITORY = Path(__file__).parents[2]
RECORDED = REPOSITORY.parent / "shared" / "data" / "network"

PING = """PING edge (10.0.0.1) 56(84) bytes of data.
64 bytes from edge: icmp_seq=2 ttl=64 time=190 ms
64 bytes from edge: icmp_seq=3 ttl=64 time=12.5 ms
64 bytes from edge: icmp_seq=5 ttl=64 time=14.0 ms

--- edge ping statistics ---
"""


def test_a_script_is_a_table_of_timed_steps(tmp_path):
    path = tmp_path / "script.yaml"
    path.write_text(
        "- {what: delay, ms: 8}\n"
        "- {what: rate, mbps: 16, direction: up}\n"
        "- {what: jitter, at_s: 5, ms: 4, kind: pareto, direction: down}\n"
        "- {what: loss, at_s: 5, share: 0.01}\n"
        "- {what: rate, at_s: 9, mbps: null, direction: up}\n"
        "- {what: stall, at_s: 2, for_s: 1, direction: down}\n"
        "- {what: cut, at_s: 10, for_s: 3, every_s: 20, times: 2}\n"
    )
    spec = spec_of(read_script(path))
    late = Leg(delay_ms=8, jitter=Jitter(kind="pareto", mean_ms=4), loss=0.01)
    assert spec.phases == (
        Phase(up=Leg(delay_ms=8, rate_bytes_per_s=2e6), down=Leg(delay_ms=8)),
        Phase(at_s=5, up=Leg(delay_ms=8, rate_bytes_per_s=2e6, loss=0.01), down=late),
        Phase(at_s=9, up=Leg(delay_ms=8, loss=0.01), down=late),
    )
    assert spec.stalls == (Window(at_s=2, for_s=1, directions=(Direction.DOWN,)),)
    assert spec.cuts == (Window(at_s=10, for_s=3), Window(at_s=30, for_s=3))


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"what": "fly"}, r"row 2 \(fly\): what is 'fly': write one of delay"),
        ({}, r"row 2 \(no what\): what is None"),
        ({"what": "delay"}, r"row 2 \(delay\): ms is missing"),
        ({"what": "delay", "msec": 1, "ms": 1}, "msec is no field of it: write ms, direction"),
        ({"what": "delay", "ms": "8"}, "ms is '8': write a number"),
        ({"what": "delay", "ms": True}, "ms is True"),
        ({"what": "delay", "ms": 1, "at_s": -1}, "at_s is -1"),
        ({"what": "delay", "ms": 1, "direction": "left"}, "direction is 'left': write up, down or both"),
        ({"what": "jitter", "ms": 1, "kind": "odd"}, r"row 2 \(jitter\): jitter kind 'odd'"),
        ({"what": "rate", "mbps": 0}, r"row 2 \(rate\): rate_bytes_per_s"),
        ({"what": "loss", "share": 1}, r"row 2 \(loss\): loss is 1"),
        ({"what": "cut", "for_s": 1, "direction": "up"}, "direction is no field"),
        ({"what": "stall", "for_s": 1, "times": 2}, "every_s and times"),
        ({"what": "stall", "for_s": 1, "times": 0, "every_s": 1}, "times is 0"),
        ({"what": "delay-trace", "file": "x"}, "rate_mbps is missing"),
        ({"what": "delay-trace", "file": "no/such", "rate_mbps": 1}, "no/such cannot be read"),
        ({"what": "delay-trace", "file": "x", "rate_mbps": 1, "at_s": 2}, "play from the start"),
        ({"what": "delivery-trace", "file": 3}, "file is 3"),
    ],
)
def test_a_wrong_row_is_named_with_its_field(row, told):
    with pytest.raises(LinkSpecError, match=told):
        spec_of([{"what": "delay", "ms": 1}, row])


@pytest.mark.parametrize("text", ["a: 1", "- 3", "{", "- 'x"])
def test_a_file_that_is_no_script_is_refused(tmp_path, text):
    path = tmp_path / "script.yaml"
    path.write_text(text)
    with pytest.raises(LinkSpecError, match=r"script\.yaml is"):
        read_script(path)
    with pytest.raises(LinkSpecError, match="cannot be read"):
        read_script(tmp_path / "none.yaml")


def test_a_ping_that_never_came_back_costs_a_retransmission_timeout(tmp_path):
    path = tmp_path / "ping.txt"
    path.write_text(PING)
    assert read_delays(path).rtts_ms == (190.0, 12.5, 212.5, 14.0)
    assert is_ping_log(path)


def test_deliveries_are_read_line_by_line_and_a_wrong_line_is_named(tmp_path):
    path = tmp_path / "up.trace"
    path.write_text("1\n3\n3\n10\n")
    assert read_deliveries(path).opportunities_ms == (1, 3, 3, 10)
    assert read_deliveries(path).mean_bytes_per_s == 600_000
    assert not is_ping_log(path)
    for text, told in (("1\nx\n", "line 2: 'x'"), ("5\n3\n", "sort"), ("", "at least|hold times")):
        path.write_text(text)
        with pytest.raises(LinkSpecError, match=told):
            read_deliveries(path)
    with pytest.raises(LinkSpecError, match="output of ping"):
        read_delays(path)


def test_files_of_a_script_are_looked_for_beside_it(tmp_path):
    (tmp_path / "ping.txt").write_text(PING)
    path = tmp_path / "script.json"
    path.write_text(json.dumps([{"what": "delay-trace", "file": "ping.txt", "rate_mbps": 8, "start_s": 2}]))
    spec = spec_of(read_script(path))
    assert spec.trace is not None
    assert spec.trace.start_s == 2
    assert spec.phases[0].up.rate_bytes_per_s == 1e6


@pytest.mark.skipif(not RECORDED.is_dir(), reason="the recordings of ../shared/data/network are not here")
def test_recorded_logs_keep_every_round_trip():
    for path in sorted(RECORDED.glob("ping-*.txt")):
        rtts_ms = read_delays(path).rtts_ms
        told = path.read_text().splitlines()[-1]  # rtt min/avg/max/mdev = …
        least, mean, most, _ = (float(word) for word in told.split("=")[1].split()[0].split("/"))
        assert (min(rtts_ms), max(rtts_ms)) == pytest.approx((least, most), abs=1)  # shown in three digits
        assert sum(rtts_ms) / len(rtts_ms) == pytest.approx(mean, rel=0.01)
        assert least < median(rtts_ms) < mean + 1


@pytest.mark.parametrize(
    "path", sorted((REPOSITORY / "examples").glob("link-*.yaml")), ids=lambda path: path.stem
)
def test_an_example_is_a_script_that_ends_as_it_began(path):
    spec = spec_of(read_script(path))
    assert (spec.phases[-1].up, spec.cuts != ()) == (spec.phases[0].up, True)


def test_the_guide_names_every_kind_of_row_with_the_fields_it_has():
    guide = (REPOSITORY / "docs" / "guides" / "integrator.md").read_text(encoding="utf-8")
    rows = {
        line.split("|")[1].strip(): line.split("|")[2]
        for line in guide.splitlines()
        if line.startswith("| `")
    }
    for what, kind in KINDS.items():
        own = [name for name in (*kind.needs, *kind.may) if name != "direction"]
        assert [word.strip(" `") for word in rows[f"`{what}`"].split(",")] == own, what
    assert all(f"`{name}`" in guide for name in ALWAYS)
    assert {what for what, kind in KINDS.items() if "direction" not in kind.may} == {"cut", "delay-trace"}
