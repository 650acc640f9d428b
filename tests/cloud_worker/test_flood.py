"""A real worker in a flood that nobody could answer, nor refuse: what it still answers is fresh."""

import dataclasses

import cv2

from bench.deadline_crowd import photo_frame
from bench.deadline_flood import Flood, Order, flood
from schemas.documents import Load, parse_document
from schemas.topics import topic
from tests.cloud_worker.conftest import SITE, headset_on
from tests.cloud_worker.test_worker_process import finish, worker_process

BUDGET_US = 500_000
CALM_PER_S, FLOOD_PER_S = 60.0, 2000.0


def answers_a_second(flooded: Flood) -> float:
    """Of those heard while it went on, the fresh ones."""
    fresh = [
        row for row in flooded.replies if row.ran_ns and row.heard_ns <= min(row.over_ns, flooded.ended_ns)
    ]
    return len(fresh) / flooded.span_s


def test_in_a_flood_a_worker_goes_on_answering_what_is_fresh(mosquitto, models_dir, photos, tmp_path):
    picture = photo_frame(cv2.imread(str(photos[0])))
    picture = dataclasses.replace(picture, header=dataclasses.replace(picture.header, budget_us=BUDGET_US))
    order = Order(port=mosquitto.port, site=SITE, worker="w-1", headsets=20, per_s=CALM_PER_S, for_s=1.5)
    with (
        worker_process("--models", str(models_dir), folder=tmp_path, url=mosquitto.url) as (process, _ready),
        headset_on(mosquitto.url, device="listener") as listener,
    ):
        loads: list[Load] = []
        listener._road.subscribe(
            topic("worker-load", site=SITE, worker="w-1"),
            lambda delivery: loads.append(parse_document(Load, bytes(delivery.payload))),
        )
        calm = flood(listener._road, order, frame=picture)
        told = len(loads)
        flooded = flood(
            listener._road, dataclasses.replace(order, per_s=FLOOD_PER_S, for_s=2.0), frame=picture
        )
        told = len(loads) - told
        report = finish(process)
    assert flooded.sent > 5 * calm.sent
    assert answers_a_second(flooded) >= 0.2 * answers_a_second(calm) > 0
    assert told >= 2  # its other road and its timers live on
    assert report["received"] == report["answered"] + report["dropped_flood"] + sum(
        report["refused"].values()
    )
    assert report["replies_unsent"] == 0
