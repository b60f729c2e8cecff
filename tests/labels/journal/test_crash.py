"""A killed process, a torn log, a full disk: what was shown as saved is there, bit for bit."""

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from labels.journal import crashing
from labels.journal.crashing import MORE, SHAPE, check, check_naive, kill_often, start


def test_killed_at_random_instants(tmp_path: Path):
    kills = max(1, round(40 * MORE))
    folders = [tmp_path / "a", tmp_path / "b"]
    with ThreadPoolExecutor(2) as pool:
        tallies = list(pool.map(kill_often, folders, (11, 12), (kills, kills)))
    assert sum(tally.kills for tally in tallies) == 2 * kills
    assert max(tally.records for tally in tallies) > 20


def test_saving_in_place_fails_the_same_check(tmp_path: Path):
    shape = (16, 256, 256)
    chance = random.Random(5)
    failed = 0
    for turn in range(12):
        folder = tmp_path / str(turn)
        acknowledged = crashing.kill_at_random("naive", folder, 5, shape, chance)
        try:
            check_naive(folder, 5, shape, acknowledged)
        except (AssertionError, ValueError, EOFError, OSError):
            failed += 1
    assert failed > 0


def killed_at(folder: Path, instant: int) -> int:
    child = start("steps", folder, 3, SHAPE, instant)
    acknowledged = child.end()
    assert child.process.returncode in (0, -9)
    check(folder, 3, SHAPE, acknowledged)
    return child.process.returncode


def test_killed_at_each_step_of_the_first_snapshot_and_of_newer_ones(tmp_path: Path):
    # 12 blocks, packed and checked: about 60 instants for each of three snapshots
    instants = sorted(random.Random(7).sample(range(1, 200), min(199, round(40 * MORE))))
    with ThreadPoolExecutor(2) as pool:
        codes = list(pool.map(lambda i: killed_at(tmp_path / str(i), i), instants))
    assert codes.count(-9) > len(codes) // 2


@pytest.mark.parametrize("room", [2_000, 60_000, 300_000])
@pytest.mark.parametrize("then", ["room", "kill"])
def test_full_disk(room: int, then: str, tmp_path: Path):
    child = start("full", tmp_path / "j", 4, SHAPE, room)
    said = []
    while (line := child.line()) != "full":
        assert line, child.process.communicate()[1].decode()
        said.append(line)
    child.acknowledged = max((int(line) for line in said if line.isdigit()), default=-1)
    told = [line for line in said if line.startswith("trouble")]
    assert str(tmp_path / "j") in told[-1]
    if then == "kill":
        assert child.kill() <= check(tmp_path / "j", 4, SHAPE, child.acknowledged)
        return
    assert child.process.stdin is not None
    child.process.stdin.write(b"room\n")
    child.process.stdin.flush()
    said = []
    while line := child.line():
        said.append(line)
    child.end()
    assert said[-1] == "closed", said
    assert "trouble None" in said
    acknowledged = int(said[-2]) if said[-2].isdigit() else int(said[-3])
    assert check(tmp_path / "j", 4, SHAPE, acknowledged) == acknowledged
