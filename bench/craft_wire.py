"""What travels at a cut: tensors raw and packed, and the JPEG of the input that they stand against.

Bytes, and the time to encode and decode them, on tensors of a real photo. Rows are the cuts that a split in two
can ever choose: each has fewer bytes than all before it. The best one of a model has the fewest, the ends left
out. Overhead is what the message adds to the bare tensors, encoded as a headset sends them.

    python -m bench.craft_wire --out wire.json
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bench.craft_profile import default_models
from cloud_worker.reply import result
from cloud_worker.request import Answer, Request
from headway.photos import ensure_photos
from headway.setup import REPOSITORY, cache_dir
from inference.errors import InferenceError
from inference.graph.flow import Cut
from inference.profile.picture import (
    Picture,
    PictureInput,
    jpeg_encoder,
    model_inputs,
    picture_input,
    read_frame,
)
from inference.runtimes.base import Runtime
from inference.runtimes.registry import open_runtime
from inference.split.live_tensors import spec_of
from inference.split.model import SplitModel, split_model
from inference.split.packing import break_even_bps, is_worth_packing
from inference.split.part_payload import PartPayload, pack_part, unpack_part
from inference.split.placed import open_part
from schemas.codec import Encoder, decode
from schemas.messages import Header, Part, PartCoding, Result, Task

TURNS = 40
TASK = "hands"
RUN_NS = 5_000_000
JPEG_QUALITY = 80
UPLINKS_MBPS = (10, 40, 100)
MOST_OVERHEAD_BYTES = 200
OVERHEADS = (
    "overhead_bytes",
    "packed_overhead_bytes",
    "reply_overhead_bytes",
    "packed_reply_overhead_bytes",
)
DETECTOR = REPOSITORY.parent / "shared" / "data" / "models" / "yolox_nano_int8_quantize.tflite"


def measure(
    models: Sequence[Path] = (),
    *,
    turns: int = TURNS,
    progress: Callable[[str], None] = lambda _line: None,
) -> dict[str, Any]:
    """One row a model with its best cut, and every cut that may be chosen.

    Raises:
        InferenceError: a model cannot be had or cut.
    """
    picture = read_frame(ensure_photos(cache_dir(os.environ))[0])
    runtime = open_runtime("litert")
    rows = []
    for path in models or [*default_models(progress), *([DETECTOR] if DETECTOR.is_file() else [])]:
        rows.append(_model_row(path, picture, runtime=runtime, turns=turns))
        best = rows[-1]["best"]
        progress(
            f"{path.stem}: {best['raw_bytes']} B raw, {best['packed_bytes']} B packed at {best['position']}"
        )
    most = max(cut[key] for row in rows for cut in row["cuts"] for key in OVERHEADS)
    return {
        "wire": rows,
        "aims": [
            {
                "what": "overhead_bytes of a message and of its reply at every cut, raw and packed",
                "at_most": MOST_OVERHEAD_BYTES,
                "measured": most,
                "met": most <= MOST_OVERHEAD_BYTES,
            }
        ],
    }


def candidate_cuts(cuts: Sequence[Cut]) -> list[Cut]:
    """Inner cuts with fewer bytes than every cut before them, the input included."""
    found: list[Cut] = []
    least = cuts[0].payload_bytes
    for cut in cuts[1:-1]:
        if cut.payload_bytes < least:
            found.append(cut)
            least = cut.payload_bytes
    return found


def _model_row(path: Path, picture: Picture, *, runtime: Runtime, turns: int) -> dict[str, Any]:
    split = split_model(path.read_bytes())
    inputs = model_inputs(split.flow, picture)
    chosen = candidate_cuts(split.cuts) or sorted(split.cuts[1:-1], key=lambda cut: cut.payload_bytes)[:1]
    rows = [_cut_row(split, cut, inputs, runtime=runtime, turns=turns) for cut in chosen]
    way = picture_input(split.flow)
    return {
        "model": path.stem,
        "input_bytes": sum(array.nbytes for array in inputs.values()),
        "best": min(rows, key=lambda row: row["raw_bytes"]),
        "best_int8": min(
            (row for row in rows if all(tensor.startswith("int8") for tensor in row["tensors"])),
            key=lambda row: row["raw_bytes"],
            default=None,  # of a float model
        ),
        "cuts": rows,
        "jpeg_of_input": _jpeg_row(way.picture(picture), way, turns=turns) if way else None,
        "jpeg_of_frame": _jpeg_row(picture, None, turns=turns),
    }


def _cut_row(split: SplitModel, cut: Cut, inputs: Any, *, runtime: Runtime, turns: int) -> dict[str, Any]:
    tensors = [split.flow.tensors[index] for index in cut.crossing]
    with closing(open_part(split, 0, cut.position, runtime=runtime)) as part:
        values = {**inputs, **part.run(inputs)}
    arrays = [values[tensor.name] for tensor in tensors]
    specs = [spec_of(tensor) for tensor in tensors]
    raw, packed = (pack_part([arrays], coding=coding) for coding in PartCoding)
    raw_ms, packed_ms = (
        (
            _median_ms(partial(pack_part, [arrays], coding=part.coding), turns),
            _median_ms(partial(unpack_part, part, specs), turns),
        )
        for part in (raw, packed)
    )
    bare = sum(array.nbytes for array in arrays)
    cost = {
        "raw_bytes": bare,
        "packed_bytes": len(packed.payload),
        "encode_ns": packed_ms[0] * 1e6,
        "decode_ns": packed_ms[1] * 1e6,
    }
    return {
        "position": cut.position,
        "of": len(split.flow.operators),
        "tensors": [f"{tensor.dtype}{list(tensor.shape)}" for tensor in tensors],
        "raw_bytes": bare,
        "raw_encode_ms": raw_ms[0],
        "raw_decode_ms": raw_ms[1],
        "packed_bytes": len(packed.payload),
        "packed_encode_ms": packed_ms[0],
        "packed_decode_ms": packed_ms[1],
        "exact": all(
            [array.tobytes() for array in unpack_part(part, specs)[0]]
            == [array.tobytes() for array in arrays]
            for part in (raw, packed)
        ),
        "worth_packing_below_mbps": round(break_even_bps(**cost) / 1e6, 1),
        "packed_at_mbps": {
            str(rate): is_worth_packing(**cost, bandwidth_bps=rate * 1e6) for rate in UPLINKS_MBPS
        },
        **_messages(split, cut, raw, packed, turns=turns),
    }


def _messages(
    split: SplitModel, cut: Cut, raw: PartPayload, packed: PartPayload, *, turns: int
) -> dict[str, Any]:
    """What messages add to the values of these tensors, raw and packed, there and back, and how long coding takes."""
    header = Header(
        boot_id=bytes(range(16)),
        task=Task.HANDS,
        frame_id=1_000_000,
        capture_ns=time.monotonic_ns(),
        send_ns=time.monotonic_ns(),
        budget_us=20_000,
        placement_id=cut.position << 16 | len(split.flow.operators),
        model_digest=bytes(range(32)),
        trace_id=bytes(range(16)),
        span_id=bytes(range(8)),
    )
    asked, asked_packed = (
        Part(header=header, subjects=1, coding=part.coding, payload=part.payload, brief_reply=True)
        for part in (raw, packed)
    )
    encoder = Encoder()
    content, content_packed = encoder.encode(asked), encoder.encode(asked_packed)
    reply, reply_packed = (
        encoder.encode(_reply(message, part)) for message, part in ((asked, raw), (asked_packed, packed))
    )
    return {
        "message_bytes": len(content),
        "overhead_bytes": len(content) - len(raw.payload),
        "packed_message_bytes": len(content_packed),
        "packed_overhead_bytes": len(content_packed) - len(packed.payload),
        "reply_overhead_bytes": len(reply) - len(raw.payload),
        "packed_reply_overhead_bytes": len(reply_packed) - len(packed.payload),
        "message_encode_ms": _median_ms(partial(encoder.encode, asked), turns),
        "message_decode_ms": _median_ms(partial(decode, content), turns),
    }


def _reply(asked: Part, values: PartPayload) -> Result:
    """What a worker answers, with every time it tells above zero."""
    request = Request(
        device="d-1", task_word=TASK, message=asked, received_ns=asked.header.send_ns, left_ns=RUN_NS
    )
    answer = Answer(model_digest=asked.header.model_digest, decode_ns=RUN_NS, run_ns=RUN_NS, part=values)
    sent_ns = request.received_ns + 3 * RUN_NS
    return result(
        request, answer, started_ns=request.received_ns + RUN_NS, now_ns=sent_ns, span_id=bytes(range(8))
    )


def _jpeg_row(picture: Picture, way: PictureInput | None, *, turns: int) -> dict[str, Any]:
    encode = jpeg_encoder(picture, quality=JPEG_QUALITY)
    content = np.frombuffer(encode(), np.uint8)
    flag = cv2.IMREAD_GRAYSCALE if picture.ndim == 2 else cv2.IMREAD_COLOR

    def opened() -> Any:
        pixels = np.asarray(cv2.imdecode(content, flag), np.uint8)
        return way.values(pixels) if way else pixels

    return {
        "size_px": list(picture.shape[1::-1]),
        "quality": JPEG_QUALITY,
        "bytes": len(content),
        "encode_ms": _median_ms(encode, turns),
        "decode_ms": _median_ms(opened, turns),
    }


def _median_ms(work: Callable[[], object], turns: int) -> float:
    times = []
    for _ in range(turns):
        started_ns = time.perf_counter_ns()
        work()
        times.append(time.perf_counter_ns() - started_ns)
    return round(float(np.median(times)) / 1e6, 4)


def main() -> int:
    """Run alone; 0 when the overhead is within its bound and every packed tensor came back."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="file for the result")
    parser.add_argument("--model", type=Path, action="append", default=[], help="only these .tflite files")
    parser.add_argument("--turns", type=int, default=TURNS, help="runs of each timing")
    chosen = parser.parse_args()
    try:
        found = measure(chosen.model, turns=chosen.turns, progress=lambda line: print(line, file=sys.stderr))
    except InferenceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    chosen.out.write_text(json.dumps(found, indent=1) + "\n")
    exact = all(cut["exact"] for row in found["wire"] for cut in row["cuts"])
    return 0 if exact and all(row["met"] for row in found["aims"]) else 1


if __name__ == "__main__":
    sys.exit(main())
