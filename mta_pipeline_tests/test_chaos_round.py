"""That a round of the fault campaign tells weeks that came through from one that was lost."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from chaos.checker import release_of
from chaos.faults import FAULTS, Fault
from chaos.report import markdown
from chaos.rounds import World, play
from mta_pipeline.domain.weeks import Week
from mta_pipeline_tests.feed_server import cut, whole

damaged: list[Week] = []


def cut_streams_and_a_damaged_object(world: World) -> None:
    """All streams are cut once, which does no harm; then somebody cuts an object, which does."""
    for week, body in world.bodies.items():
        world.feed.serve(week, world.strike(cut(body, len(body) // 2)), whole(body))
    world.backfill()
    damaged[:] = [world.weeks[1]]
    with (world.lake / world.weeks[1].object_name).open("r+b") as file:
        file.truncate(100)


@pytest.mark.skipif(sys.platform != "linux", reason="the lake's folder is watched with inotify")
def test_a_round_counts_what_survived_and_what_was_lost(tmp_path: Path) -> None:
    fault = Fault("a-test", "feed", "a cut", "survived", cut_streams_and_a_damaged_object)
    result = play(fault, seed=1, number=0, weeks=3, work=tmp_path)
    assert (result.tried, result.survived, result.healed, result.lost) == (3, 2, 0, 1), result.broken
    assert result.struck == 3
    release = release_of(damaged[0].key)
    assert all(release in told for told in result.broken)
    assert any("damaged" in told for told in result.broken)
    assert result.again == 'make chaos CHAOS="--seed 1 --only a-test --round 0 --weeks 3"'
    assert (tmp_path / "a-test-1-0" / "log.txt").exists()


def test_faults_have_names_of_their_own_and_stand_in_the_table() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    assert markdown([]).splitlines()[-1].startswith("| all |")
