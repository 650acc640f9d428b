"""What a play leaves behind, gathered into one event log and one report."""

import json

import pytest

from headway.latency_plot import Mark
from headway.material import Material
from headway.play import Story
from headway.story_report import claims_of, read_events, write_report, write_whole
from tests.headway.test_report import EVENTS, MS

HEADSETS = ("hs-1", "hs-2", "hs-3")
FACTS = {"setup_s": 1.0, "seconds": 1.0, "host_load": 0.5, "interrupted": False, "error": None}


@pytest.fixture
def work(tmp_path):
    """A folder with the lines of hs-1 and hs-2; hs-2 was killed while it wrote one, hs-3 never ran."""
    for headset in HEADSETS[:2]:
        lines = [json.dumps(event) + "\n" for event in EVENTS if event["headset"] == headset]
        (tmp_path / f"{headset}.jsonl").write_text("".join(lines))
    with (tmp_path / "hs-2.jsonl").open("a") as file:
        file.write('{"kind": "frame", "headset": "hs-2", "fra')
    return tmp_path


@pytest.fixture
def story():
    return Story(
        start_ns=1 * MS,
        registered_s={"hs-1": 0.5, "hs-2": 0.6},
        cut_ns=200 * MS,
        restored_ns=600 * MS,
        marks=[Mark(at_s=0.3, text="dep-1 succeeded", good=True)],
    )


@pytest.fixture
def material(packages, tmp_path):
    return Material(
        models=tmp_path,
        sources=("walk:x",) * 3,
        ring=None,
        full=packages["full"],
        small=packages["lite"],
        lite=packages["lite"],
        variant="lite",
        refused=("scores collapse",),
    )


def test_events_are_in_time_order_with_the_moments_of_the_play_between(work, story):
    events = read_events(work, HEADSETS, story=story)
    moments_ns = [event.get("scheduled_ns") or event.get("t_ns") or 0 for event in events]
    assert moments_ns == sorted(moments_ns)
    kinds = [event["kind"] for event in events]
    assert [kinds.count(kind) for kind in ("frame", "switch", "cut", "restored", "deployment")] == [
        9,
        2,
        1,
        1,
        1,
    ]
    assert next(event for event in events if event["kind"] == "deployment")["t_ns"] == 301 * MS


def test_half_a_line_of_a_killed_headset_is_counted_and_not_read(work):
    torn = [event for event in read_events(work, HEADSETS, story=None) if event["kind"] == "torn"]
    assert torn == [{"kind": "torn", "headset": "hs-2", "lines": 1}]


def test_a_headset_that_never_ran_has_no_events_and_an_empty_entry(work, story, material, tmp_path):
    events = read_events(work, HEADSETS, story=story)
    report = write_report(
        tmp_path, events=events, story=story, headsets=HEADSETS, material=material, facts=FACTS
    )
    entry = report["headsets"][2]
    assert (entry["registered_s"], entry["scheduled"]) == (None, 0)
    assert "hs-3 never registered" in report["shortfalls"]


def test_the_files_hold_what_was_returned(work, story, material, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    events = read_events(work, HEADSETS, story=story)
    report = write_report(out, events=events, story=story, headsets=HEADSETS, material=material, facts=FACTS)
    assert json.loads((out / "report.json").read_text()) == report
    assert [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()] == events
    assert report["agreement"] == {"refused": ["scores collapse"], "distinct_photos": {}}
    assert report["checker"]["findings"] == [
        *[f"{name} gave no summary when it ended" for name in HEADSETS],
        "hs-2 lost 1 lines of its log (torn)",
    ]


def test_the_last_line_a_headset_printed_is_its_claim():
    last_words = {"hs-1": b'noise\n{"scheduled": 9}\n', "hs-2": b"", "hs-3": b"Traceback\n"}
    assert claims_of(last_words) == {"hs-1": {"scheduled": 9}}


def test_no_draft_stays_beside_the_report(work, story, material, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    events = read_events(work, HEADSETS, story=story)
    write_report(out, events=events, story=story, headsets=HEADSETS, material=material, facts=FACTS)
    assert sorted(path.name for path in out.iterdir()) == ["events.jsonl", "report.json"]


def test_a_run_that_ended_before_it_began_still_has_a_report(material, tmp_path):
    facts = {**FACTS, "error": "the broker did not start"}
    report = write_report(tmp_path, events=[], story=None, headsets=HEADSETS, material=material, facts=facts)
    assert report["shortfalls"][0] == "the broker did not start"
    assert report["outage"]["unanswered"] is None
    assert report["checker"]["findings"] == [f"{name} gave no summary when it ended" for name in HEADSETS]


def test_an_interrupted_run_promised_nothing(material, tmp_path):
    facts = {**FACTS, "interrupted": True}
    report = write_report(tmp_path, events=[], story=None, headsets=HEADSETS, material=material, facts=facts)
    assert report["shortfalls"] == []


def test_a_file_is_replaced_whole_and_leaves_no_draft(tmp_path):
    path = tmp_path / "report.json"
    for text in ("first", "second"):
        write_whole(path, text)
        assert path.read_text() == text
    assert [found.name for found in tmp_path.iterdir()] == ["report.json"]
