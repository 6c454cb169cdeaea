"""Tests of tasksr_ros.attention: bands of 64 x 32 px regions, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tasksr_ros.attention import Attended, Attention
from tasksr_ros.config import RegionConfig, TrackingConfig
from tasksr_ros.detections import Detections
from tasksr_ros.regions import Rect, tiles

SIZE = (352, 100)
GRID = tuple(tiles(Rect(0, 40, 352, 72), SIZE, (64, 32), 0))
"""Six tiles in a row, at x 0, 58, 115, 173, 230 and 288."""
STEP_NS = 100_000_000
NOBODY = Detections.empty()


def attention(**region: float) -> Attention:
    config = RegionConfig(tile_overlap=0, **region)  # type: ignore[arg-type]
    return Attention(config, TrackingConfig(), np.array([0.5], np.float32))


def people(*boxes: tuple[float, float, float, float, float]) -> Detections:
    """Boxes x0, y0, x1, y1 with their scores."""
    table = np.array(boxes, np.float64)
    return Detections.from_arrays(table[:, :4], table[:, 4])


def look(
    looking: Attention,
    frame: int,
    candidates: Detections = NOBODY,
    found: Detections = NOBODY,
    budget: int = 1,
) -> Attended:
    """One frame of 10 Hz."""
    stamp_ns = 10**12 + frame * STEP_NS
    attended = looking.choose(stamp_ns, GRID, SIZE, candidates, budget)
    looking.saw(attended, found, stamp_ns)
    return attended


def firsts(attended: Attended) -> list[int]:
    return [tile.rect.x0 for tile in attended.tiles]


def test_the_grid() -> None:
    assert [tile.rect for tile in GRID] == [
        Rect(x, 40, x + 64, 72) for x in (0, 58, 115, 173, 230, 288)
    ]


def test_without_people_the_tiles_take_turns() -> None:
    looking = attention(revisit=10.0)
    looks = [firsts(look(looking, k, budget=2)) for k in range(4)]
    assert looks == [[0, 115], [173, 288], [58, 230], [0, 115]]


def test_a_budget_for_all_tiles_looks_at_the_grid_itself() -> None:
    attended = look(attention(), 0, budget=6)
    assert attended.tiles == GRID
    assert set(attended.why) == {"all"}
    assert (attended.coverage, attended.oldest_s) == (1.0, 0.0)


def test_a_region_is_centred_on_its_candidate() -> None:
    attended = look(attention(revisit=10.0), 0, people((150, 50, 156, 62, 0.3)))
    assert attended.why == ("person",)
    assert attended.tiles[0].rect == Rect(121, 40, 185, 72)
    assert attended.tiles[0].inner == (False, False, False, False)
    assert attended.tiles[0].open == (True, True, True, True)


def test_at_the_side_of_the_band_the_region_stays_inside() -> None:
    attended = look(attention(revisit=10.0), 0, people((345, 50, 350, 62, 0.3)))
    # Less than 8 px of image are beside the box, but there are no more.
    assert attended.tiles[0].rect == Rect(288, 40, 352, 72)
    assert attended.tiles[0].open == (True, True, False, True)


def test_two_candidates_go_before_a_stronger_one() -> None:
    """And the region has both of them in its middle."""
    candidates = people((20, 50, 26, 62, 0.3), (40, 50, 46, 62, 0.3), (200, 50, 206, 62, 0.5))
    attended = look(attention(revisit=10.0), 0, candidates)
    assert attended.tiles[0].rect == Rect(1, 40, 65, 72)
    attended = look(attention(revisit=10.0), 0, candidates, budget=2)
    assert attended.tiles[1].rect == Rect(171, 40, 235, 72)
    assert attended.why == ("person", "person")


@pytest.mark.parametrize(
    "box",
    [
        (150, 50, 156, 62, 0.12),  # too weak: less than 0.25 of 0.5
        (150, 76, 156, 88, 0.5),  # below the band
        (150, 45, 156, 67, 0.5),  # with a margin of 8 px higher than a region
    ],
)
def test_who_is_no_candidate(box: tuple[float, float, float, float, float]) -> None:
    assert look(attention(revisit=10.0), 0, people(box)).why == ("turn",)


def test_a_doubtful_one_goes_before_a_sure_one() -> None:
    """Whom the near pass finds as they are need no look; with nobody else they get one."""
    sure, doubtful = (20, 50, 26, 62, 0.9), (200, 50, 206, 62, 0.3)
    attended = look(attention(revisit=10.0), 0, people(sure, doubtful), budget=2)
    assert [tile.rect.x0 for tile in attended.tiles] == [171, 0]
    assert attended.why == ("person", "person")


def test_boxes_of_one_person_count_once() -> None:
    one = [(20 + k, 50, 26 + k, 62, 0.3) for k in range(3)]
    attended = look(attention(revisit=10.0), 0, people(*one, (200, 50, 206, 62, 0.4)))
    assert attended.tiles[0].rect == Rect(171, 40, 235, 72)


def test_who_was_found_and_is_doubtful_now_goes_before_another_doubtful_one() -> None:
    looking = attention(revisit=10.0)
    look(looking, 0, found=people((20, 50, 26, 62, 0.9)))
    now = people((20, 50, 26, 62, 0.2), (200, 50, 206, 62, 0.3))
    assert look(looking, 1, now).tiles[0].rect == Rect(0, 40, 64, 72)
    assert look(attention(revisit=10.0), 1, now).tiles[0].rect == Rect(171, 40, 235, 72)


@pytest.mark.parametrize(("score", "why"), [(0.26, "person"), (0.24, "turn")])
def test_weaker_people_than_are_published_are_remembered(score: float, why: str) -> None:
    looking = attention(revisit=10.0)
    assert looking.known_scores.tolist() == [0.25]  # half of the threshold
    look(looking, 0, found=people((150, 50, 156, 62, score)))
    assert look(looking, 1).why == (why,)


def test_shares_of_scores_that_are_probabilities() -> None:
    """Weak at 1/64 of the threshold, a quarter cubed: half of it is an eighth."""
    region = RegionConfig(tile_overlap=0, budget=1, revisit=10.0)
    looking = Attention(region, TrackingConfig(), np.array([0.512], np.float32), 1 / 64)
    assert looking.weak_scores.tolist() == pytest.approx([0.008])
    assert looking.known_scores.tolist() == pytest.approx([0.064])
    assert look(looking, 0, people((150, 50, 156, 62, 0.0079))).why == ("turn",)
    assert look(looking, 1, people((150, 50, 156, 62, 0.0081))).why == ("person",)


def test_classes_that_are_not_wanted_are_no_candidates() -> None:
    looking = Attention(
        RegionConfig(tile_overlap=0, revisit=10.0),
        TrackingConfig(),
        np.array([2.0, 0.5], np.float32),
    )
    boxes = np.array([[150, 50, 156, 62], [20, 50, 26, 62]])
    candidates = Detections.from_arrays(boxes, np.array([0.9, 0.3]), np.array([0, 1]))
    attended = looking.choose(10**12, GRID, SIZE, candidates, 1)
    assert attended.tiles[0].rect == Rect(0, 40, 64, 72)
    assert attended.why == ("person",)


def test_who_was_found_is_looked_at_where_they_should_be_now() -> None:
    looking = attention(revisit=10.0)
    for k, x in enumerate((100, 110, 120, 130)):
        look(looking, k, found=people((x, 50, x + 6, 62, 0.9)))
    attended = look(looking, 4)
    assert attended.why == ("person",)
    assert attended.tiles[0].rect.x0 in (109, 110, 111)  # 143 - 32, less a little of the filter


def test_who_is_not_found_any_more_is_forgotten() -> None:
    looking = attention(revisit=60.0)
    look(looking, 0, found=people((100, 50, 106, 62, 0.9)))
    whys = [look(looking, k).why[0] for k in range(1, 15)]
    assert whys == ["person"] * 12 + ["turn"] * 2  # tracking.max_gap is 1.2 s


def test_every_tile_is_looked_at_within_revisit_whoever_stands_elsewhere() -> None:
    """Two of three looks remain for the people: 6 tiles in 18 frames are one in three."""
    looking = attention(revisit=1.8)
    crowd = people((20, 50, 26, 62, 0.5), (40, 50, 46, 62, 0.5))
    seen = np.zeros(len(GRID), int)
    whys = []
    for k in range(90):
        attended = look(looking, k, crowd, crowd)
        whys.append(attended.why[0])
        for number, tile in enumerate(GRID):
            if tile in attended.tiles or tile.rect == attended.tiles[0].rect:
                seen[number] = k
        if k >= 18:
            assert attended.oldest_s <= 1.8 + 1e-6, k
            assert attended.coverage == 1.0
    assert 20 <= whys.count("revisit") <= 30
    assert seen[1:].min() >= 90 - 18


def test_where_the_budget_cannot_keep_the_time_half_of_it_is_for_the_people() -> None:
    looking = attention(revisit=0.3)
    crowd = people((20, 50, 26, 62, 0.5), (40, 50, 46, 62, 0.5))
    attended = [look(looking, k, crowd, crowd) for k in range(40)]
    whys = [one.why[0] for one in attended]
    assert (whys[20:].count("person"), whys[20:].count("revisit")) == (10, 10)
    assert attended[-1].oldest_s > 0.6
    assert attended[-1].coverage < 0.6


def test_where_people_were_the_turn_comes_sooner() -> None:
    looking, plain = attention(revisit=60.0), attention(revisit=60.0)
    for k in range(60):
        look(looking, k, found=people((320, 50, 326, 62, 0.9)))
        look(plain, k)
    turns = [
        [firsts(one)[0] for k in range(60, 120) if (one := look(each, k)).why[0] == "turn"]
        for each in (looking, plain)
    ]
    share = [places.count(288) / len(places) for places in turns]
    assert share[1] == pytest.approx(1 / 6, abs=0.02)
    assert share[0] > 0.2


def test_a_jump_back_begins_anew_and_a_late_frame_ages_nothing() -> None:
    looking = attention(revisit=10.0)
    for k in range(3):
        look(looking, 20 + k)
    late = look(looking, 21)
    assert late.oldest_s == pytest.approx(0.2)
    assert firsts(late) != [0]
    again = look(looking, 0)
    assert firsts(again) == [0]
    assert again.oldest_s == 0.0


def test_without_stamps_the_tiles_still_take_turns() -> None:
    looking = attention(revisit=10.0)
    seen = set()
    for _ in range(6):
        attended = looking.choose(0, GRID, SIZE, NOBODY, 1)
        looking.saw(attended, NOBODY, 0)
        seen.add(firsts(attended)[0])
    assert len(seen) == 6


def test_another_band_begins_anew() -> None:
    looking = attention(revisit=10.0)
    look(looking, 0)
    other = tuple(tiles(Rect(0, 10, 352, 42), SIZE, (64, 32), 0))
    attended = looking.choose(10**12 + STEP_NS, other, SIZE, NOBODY, 1)
    assert attended.tiles[0].rect == Rect(0, 10, 64, 42)


def test_the_same_frames_give_the_same_choice() -> None:
    def run() -> list[Attended]:
        looking, rng = attention(revisit=1.0), np.random.default_rng(0)
        chosen = []
        for k in range(60):
            x, score = rng.uniform(0, 340, 9), rng.uniform(0.1, 1.0, 9)
            found = people(*((a, 50, a + 6, 64, s) for a, s in zip(x, score, strict=True)))
            chosen.append(look(looking, k, found, found.select(found.score >= 0.5), 2))
        return chosen

    first = run()
    assert first == run()
    assert all(1 <= len(one.tiles) <= 2 for one in first)


def test_what_is_remembered_does_not_grow() -> None:
    looking = attention(revisit=1.0)
    rng = np.random.default_rng(0)
    sizes = []
    for k in range(400):
        x = rng.uniform(0, 340, 20)
        look(looking, k, found=people(*((a, 50, a + 6, 64, 0.9) for a in x)))
        boxes, _ = looking._tracker.predicted(10**12 + k * STEP_NS, 0.4)
        sizes.append(len(boxes))
    assert max(sizes[200:]) <= max(sizes[:200]) + 40
