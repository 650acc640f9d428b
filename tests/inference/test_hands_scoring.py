"""Scoring: exact matching, the figures, and what an oracle must look like."""

import itertools
import json

import numpy as np
import pytest

from inference.errors import OracleError
from inference.evaluation.oracle import read_photos, read_videos
from inference.evaluation.scoring import MATCH_DISTANCE, Tally, hand_distance, match_hands, score, tally_image

SQUARE = np.stack([np.linspace(0, 100, 21), np.linspace(0, 50, 21)], axis=1)


def shifted(dx, hand=SQUARE):
    return hand + np.array([dx, 0.0])


def test_the_distance_is_relative_to_the_longer_side_of_the_reference():
    assert hand_distance(SQUARE, shifted(10)) == pytest.approx(0.1)


def test_a_reference_without_extent_matches_nothing():
    assert hand_distance(np.zeros((21, 2)), np.zeros((21, 2))) == float("inf")


def test_a_match_needs_the_distance_of_the_measurement():
    assert MATCH_DISTANCE == 0.2
    assert tally_image([SQUARE], [shifted(20)]).distances == pytest.approx((0.2,))
    assert tally_image([SQUARE], [shifted(20.01)]).distances == ()


def test_matching_finds_as_many_pairs_as_possible_even_where_the_nearest_first_would_not():
    # Nearest first would pair reference 0 with found 0 and leave reference 1 alone.
    reference, found = [SQUARE, shifted(18)], [shifted(2), shifted(-15)]
    matches = match_hands(reference, found)
    assert {(m.reference, m.found) for m in matches} == {(0, 1), (1, 0)}


def test_matching_is_the_best_of_all_assignments():
    rng = np.random.default_rng(3)
    for _ in range(60):
        reference = [shifted(dx) for dx in rng.uniform(0, 60, rng.integers(0, 4))]
        found = [shifted(dx) for dx in rng.uniform(0, 60, rng.integers(0, 4))]
        matches = match_hands(reference, found)
        ours = (-len(matches), round(sum(m.distance for m in matches), 9))
        assert ours == min(_all_assignments(reference, found))


def _all_assignments(reference, found):
    slots = [*range(len(found)), *[None] * len(reference)]
    for choice in set(itertools.permutations(slots, len(reference))):
        pairs = [(r, f) for r, f in enumerate(choice) if f is not None]
        distances = [hand_distance(reference[r], found[f]) for r, f in pairs]
        if all(d <= MATCH_DISTANCE for d in distances):
            yield -len(distances), round(sum(distances), 9)


def test_figures_count_missed_and_invented_hands():
    figures = score(
        [
            Tally(n_reference=2, n_found=1, distances=(0.01,)),
            Tally(n_reference=0, n_found=1, distances=()),
            Tally(n_reference=1, n_found=1, distances=(0.03,)),
        ]
    )
    assert figures == {
        "n_images": 3,
        "n_hands": 3,
        "n_matched": 2,
        "recall": pytest.approx(2 / 3, abs=1e-6),
        "precision": pytest.approx(2 / 3, abs=1e-6),
        "median": 0.02,
        "p90": 0.028,
    }


def test_figures_that_nothing_defines_are_none():
    figures = score([Tally(n_reference=0, n_found=0, distances=())])
    assert (figures["recall"], figures["precision"], figures["median"]) == (None, None, None)


def photo_entry(**changed):
    return {"width": 10, "height": 20, "hands": [{"landmarks": [[0.5, 0.5, 0]] * 21}], **changed}


@pytest.fixture
def folder(tmp_path):
    photos = tmp_path / "hands"
    photos.mkdir()
    for name in ("a.jpg", "b.jpg"):
        (photos / name).write_bytes(b"")
    return photos


def write(folder, document):
    path = folder.parent / "oracle.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def test_only_entries_whose_file_is_in_the_folder_count(folder):
    oracle = write(folder, {"images": {"hands/a.jpg": photo_entry(), "objects/z.jpg": photo_entry()}})
    (photo,) = read_photos(oracle, folder=folder)
    assert photo.path == folder / "a.jpg"
    assert photo.hands[0] == pytest.approx(np.tile([5.0, 10.0], (21, 1)))


def test_of_two_entries_with_one_file_name_the_one_of_this_folder_is_meant(folder):
    mine, other = photo_entry(hands=[]), photo_entry()
    for names in (("a/a.jpg", "hands/a.jpg"), ("hands/a.jpg", "z/a.jpg")):
        entries = {name: mine if name.startswith("hands/") else other for name in names}
        (photo,) = read_photos(write(folder, {"images": entries}), folder=folder)
        assert photo.hands == ()


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("{", "is not JSON"),
        ([], "not a JSON object"),
        ({"videos": {}}, "no object 'images'"),
        ({"images": {"hands/z.jpg": photo_entry()}}, "none of the 1 files"),
        ({"images": {"hands/a.jpg": []}}, "is not an object"),
        ({"images": {"hands/a.jpg": {"width": 1, "height": 1}}}, "has no 'hands'"),
        ({"images": {"hands/a.jpg": photo_entry(width=0)}}, "positive pixels"),
        ({"images": {"hands/a.jpg": photo_entry(hands={})}}, "hands must be a list"),
        (
            {"images": {"hands/a.jpg": photo_entry(hands=[{"landmarks": [[0, 0]] * 20}])}},
            "must be 21 finite points",
        ),
        ({"images": {"hands/a.jpg": photo_entry(hands=[{"landmarks": [["x", 0]] * 21}])}}, "are not numbers"),
        ({"images": {"hands/a.jpg": photo_entry(hands=[7])}}, "must be 21 finite points"),
    ],
)
def test_an_oracle_of_another_form_is_refused_with_the_reason(folder, document, reason):
    with pytest.raises(OracleError, match=reason):
        read_photos(write(folder, document), folder=folder)


def test_a_missing_oracle_or_folder_is_named(folder):
    with pytest.raises(OracleError, match="cannot read the oracle"):
        read_photos(folder.parent / "none.json", folder=folder)
    with pytest.raises(OracleError, match="is not a folder"):
        read_photos(folder / "a.jpg", folder=folder / "none")


def test_a_video_oracle_has_hands_per_frame(folder):
    hand = photo_entry()["hands"]
    entry = {"width": 10, "height": 20, "fps": 25, "frames": [hand, [], hand * 2]}
    (video,) = read_videos(write(folder, {"videos": {"video/b.jpg": entry}}), folder=folder)
    assert [len(frame) for frame in video.frames] == [1, 0, 2]
    with pytest.raises(OracleError, match="positive fps"):
        read_videos(write(folder, {"videos": {"video/b.jpg": {**entry, "fps": 0}}}), folder=folder)
