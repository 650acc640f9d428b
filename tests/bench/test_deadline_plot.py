"""The picture of the deadline: drawn of what there is, refused where there is nothing."""

from bench.deadline_plot import draw


def row(policy, hit, apart):
    return {"policy": policy, "hit": hit, "local_runs": 0.4, "hit_less_deadline": apart}


GRID = {
    "by_trace": {
        "step": [row("deadline", 0.99, [0, 0, 0]), row("offload", 0.9, [-0.09, -0.12, -0.05])],
        "outage": [row("deadline", 0.98, [0, 0, 0]), row("offload", 0.8, [-0.18, -0.2, -0.1])],
    }
}
CALIBRATION = {
    "bins": [{"from": 0.1, "frames": 40, "stated": 0.15, "came": 0.2}],
    "together": {"all": {"skill": 0.4, "error": 0.03}},
}


def test_a_report_with_both_parts_or_one_is_drawn(tmp_path):
    out = tmp_path / "deadline.png"
    assert draw({"grid": GRID, "calibration": CALIBRATION}, out=out)
    assert out.read_bytes().startswith(b"\x89PNG")
    assert draw({"calibration": CALIBRATION}, out=out)
    assert draw({"grid": GRID, "calibration": {}}, out=out)


def test_without_either_part_nothing_is_drawn(tmp_path):
    assert not draw({"grid": {}, "sim": {"rows": []}}, out=tmp_path / "deadline.png")
    assert not (tmp_path / "deadline.png").exists()
