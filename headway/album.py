"""Shell: the pictures of a run, drawn after it so that drawing disturbs no frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge_node import render
from edge_node.ring import Image, Ring, open_ring
from headway import latency_plot
from headway.errors import DemoError
from headway.play import Story
from headway.report import frames_of, outage_report, outage_words

FPS = 30.0
SHEET_COLUMNS, SHEET_FRAMES = 4, 8
SHEET_WIDTH_PX = 480
JPEG_QUALITY = 88

Event = Mapping[str, Any]


class Album:
    """Pictures of one run in one folder."""

    def __init__(self, out: Path, *, ring: Path | None, headsets: Sequence[str]) -> None:
        self._out, self._headsets = out, headsets
        self._ring = open_ring(ring) if ring is not None else None

    def draw(self, events: Sequence[Event], *, story: Story) -> None:
        """Draw overlay video, contact sheet and latency plot.

        Raises:
            DemoError: the video cannot be written.
        """
        frames = {headset: frames_of(events, headset) for headset in self._headsets}
        self._draw_latency(frames, story=story)
        shown = [frame for frame in frames[self._headsets[0]] if frame["ring_index"] >= 0]
        if self._ring is None or not shown:
            return  # a live camera's frames are gone; `node run --record` keeps them
        self._write_video(shown, ring=self._ring)
        self._write_sheet(_spread(shown, story=story), ring=self._ring)

    def _draw_latency(self, frames: Mapping[str, Sequence[Event]], *, story: Story) -> None:
        outages = {}
        if story.cut_ns is not None and story.restored_ns is not None:
            cut = self._headsets[0]
            told = [frame for lines in frames.values() for frame in lines]
            outage = outage_report(cut, told, cut_ns=story.cut_ns, restored_ns=story.restored_ns)
            outages[cut] = latency_plot.Outage(
                start_s=(story.cut_ns - story.start_ns) / 1e9,
                end_s=(story.restored_ns - story.start_ns) / 1e9,
                text=outage_words(outage),
            )
        latency_plot.draw(
            self._out / "latency.png", frames, start_ns=story.start_ns, outages=outages, marks=story.marks
        )

    def _write_video(self, frames: Sequence[Event], *, ring: Ring) -> None:
        path = self._out / "overlay.mp4"
        draft = path.with_name("overlay.part.mp4")
        writer = cv2.VideoWriter(str(draft), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (ring.width, ring.height))
        if not writer.isOpened():
            raise DemoError(
                "OpenCV here cannot write mp4v video: install opencv-python-headless from its wheel"
            )
        try:
            for frame in frames:
                writer.write(cv2.cvtColor(_overlay(frame, ring=ring), cv2.COLOR_RGB2BGR))
        finally:
            writer.release()
        draft.replace(path)

    def _write_sheet(self, frames: Sequence[Event], *, ring: Ring) -> None:
        height = round(SHEET_WIDTH_PX * ring.height / ring.width)
        tiles = [
            cv2.resize(_overlay(frame, ring=ring), (SHEET_WIDTH_PX, height), interpolation=cv2.INTER_AREA)
            for frame in frames
        ]
        tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % SHEET_COLUMNS)
        rows = [
            np.hstack(tiles[start : start + SHEET_COLUMNS]) for start in range(0, len(tiles), SHEET_COLUMNS)
        ]
        sheet = cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(self._out / "overlay.jpg"), sheet, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])


def _overlay(frame: Event, *, ring: Ring) -> Image:
    """The frame as the headset saw it with its answer drawn in, RGB."""
    return render.draw(ring.frame(frame["ring_index"]), frame)


def _spread(frames: Sequence[Event], *, story: Story) -> list[Event]:
    """Eight frames with hands, spread over the run, one of them from the outage."""
    hands = [frame for frame in frames if frame["hands"]] or list(frames)
    picks = [hands[int(index)] for index in np.linspace(0, len(hands) - 1, SHEET_FRAMES)]
    if story.cut_ns is not None and story.restored_ns is not None:
        cut = [frame for frame in hands if story.cut_ns <= frame["scheduled_ns"] < story.restored_ns]
        if cut and not any(frame in cut for frame in picks):
            middle = cut[len(cut) // 2]
            nearest = min(
                range(len(picks)), key=lambda index: abs(picks[index]["frame_id"] - middle["frame_id"])
            )
            picks[nearest] = middle
    return picks
