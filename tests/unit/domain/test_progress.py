"""A worker that does nothing, though there is work, is found out; one that is idle or busy is not."""

from relay.domain.progress import Progress


def test_work_that_waits_and_is_not_done_is_stuck() -> None:
    """After the time that was set, and for as long as it lasts."""
    progress = Progress(0, within_s=60)
    for now in range(0, 60, 5):
        progress.look(waits=True, done=3, now_s=now)
        assert progress.stuck_s(now) == 0
    progress.look(waits=True, done=3, now_s=65)
    assert progress.stuck_s(65) >= 60
    progress.look(waits=True, done=4, now_s=70)
    assert progress.stuck_s(70) == 0


def test_an_idle_worker_is_well() -> None:
    """Nothing waits, so nothing needs to be done."""
    progress = Progress(0, within_s=60)
    for now in range(0, 600, 5):
        progress.look(waits=False, done=0, now_s=now)
        assert progress.stuck_s(now) == 0


def test_a_busy_worker_is_well() -> None:
    """Something always waits, and something always gets done: however slowly."""
    progress = Progress(0, within_s=60)
    for now in range(0, 600, 5):
        progress.look(waits=True, done=now // 40, now_s=now)
        assert progress.stuck_s(now) == 0


def test_a_pause_begins_again_with_each_piece_of_work() -> None:
    """What waited before, and was done, counts for nothing."""
    progress = Progress(0, within_s=60)
    progress.look(waits=True, done=0, now_s=50)
    progress.look(waits=False, done=0, now_s=55)
    progress.look(waits=True, done=0, now_s=100)
    assert progress.stuck_s(100) == 0
    assert progress.stuck_s(116) >= 60
