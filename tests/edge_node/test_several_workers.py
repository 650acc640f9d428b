"""A whole headset and two workers: pictures move to the other one when theirs falls silent, and frames stay answered."""

from edge_site import WORKER, until
from edge_site import site as site_in

from edge_node.decide import Path
from schemas.documents import SplitConfig

OTHER = "w-2"
SPLIT = SplitConfig(policy="deadline", deadline_ms=100, reply_timeout_ms=60)


def test_pictures_go_to_the_other_worker_when_theirs_falls_silent(tmp_path):
    silent = set()
    with site_in(tmp_path) as here:
        here.start(split=SPLIT, script=lambda _frame: "silent" if WORKER in silent else "ok")
        other = here.add_worker(OTHER, lambda _frame: "silent" if OTHER in silent else "ok")
        totals = here.headset._journey.answers.ledger.totals
        until(lambda: totals.paths[Path.OFFLOAD] > 20, timeout_s=40, what="pictures that are answered")
        asked = {WORKER: here.worker, OTHER: other}
        first = max(asked, key=lambda name: len(asked[name].requests))
        second = OTHER if first == WORKER else WORKER
        until(lambda: sum(asked[second].heard.values()) > 3, what="pings of the one that frames do not go to")
        silent.add(first)
        before = len(asked[second].requests)
        until(lambda: len(asked[second].requests) > before + 20, timeout_s=40, what="pictures to the other")
        result = here.stop()
        lines = here.lines()
    assert result["none"] == 0
    assert sorted(line["frame_id"] for line in lines) == list(range(result["scheduled"]))
    by_worker = [line["worker"] for line in lines if line["path"] == "offload"]
    assert {first, second} <= set(by_worker)
    assert by_worker[-1] == second
