"""A real worker in a flood that nobody could answer, nor refuse: what it still answers is fresh."""

import dataclasses

import cv2

from bench.deadline_crowd import photo_frame
from bench.deadline_flood import Flood, Order, flood
from schemas.documents import Load, parse_document
from schemas.topics import topic
from tests.cloud_worker.conftest import SITE, headset_on
from tests.cloud_worker.test_worker_process import finish, worker_process

PER_S, BUDGET_US = 4000.0, 1_000_000
TIMES = 20  # what it can answer, at least


def slot_share(flooded: Flood) -> float:
    """The part of the time in which its slot computed answers that were heard in time, while it went on."""
    fresh = [
        row for row in flooded.replies if row.ran_ns and row.heard_ns <= min(row.over_ns, flooded.ended_ns)
    ]
    return sum(row.ran_ns for row in fresh) / 1e9 / flooded.span_s


def test_in_a_flood_a_worker_goes_on_answering_what_is_fresh(mosquitto, models_dir, photos, tmp_path):
    picture = photo_frame(cv2.imread(str(photos[0])))
    picture = dataclasses.replace(picture, header=dataclasses.replace(picture.header, budget_us=BUDGET_US))
    order = Order(port=mosquitto.port, site=SITE, worker="w-1", headsets=20, per_s=PER_S, for_s=3.0)
    loads: list[Load] = []
    with (
        worker_process("--models", str(models_dir), folder=tmp_path, url=mosquitto.url) as (process, _ready),
        headset_on(mosquitto.url, device="listener") as listener,
    ):
        listener._road.subscribe(
            topic("worker-load", site=SITE, worker="w-1"),
            lambda delivery: loads.append(parse_document(Load, bytes(delivery.payload))),
        )
        flooded = flood(listener._road, order, frame=picture)
        report = finish(process)
    ran_s = [row.ran_ns / 1e9 for row in flooded.replies if row.ran_ns]
    assert flooded.sent / flooded.span_s > TIMES * len(ran_s) / sum(ran_s)
    assert slot_share(flooded) >= 0.15
    assert len(loads) >= 2  # its other road and its timers live on
    assert report["received"] == report["answered"] + report["dropped_flood"] + sum(
        report["refused"].values()
    )
    assert report["replies_unsent"] == 0
