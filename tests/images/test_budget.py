import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2pa.images.budget import Budget, BudgetClosedError


@given(
    size=st.integers(1, 100),
    pieces=st.lists(st.integers(0, 150), max_size=40),
    threads=st.integers(1, 8),
)
@settings(max_examples=40, deadline=None)
def test_never_more_than_the_budget_but_one_alone(size, pieces, threads):
    budget, lock = Budget(size), threading.Lock()
    waiting, inside, seen = list(pieces), [], []

    def work():
        while True:
            with lock:
                if not waiting:
                    return
                piece = waiting.pop()
            with budget.admitted(piece):
                with lock:
                    inside.append(piece)
                    seen.append(tuple(inside))
                with lock:
                    inside.remove(piece)

    pool = [threading.Thread(target=work) for _ in range(threads)]
    for thread in pool:
        thread.start()
    for thread in pool:
        thread.join(20)
        assert not thread.is_alive()
    assert len(seen) == len(pieces)
    for together in seen:
        assert sum(together) <= size or sum(map(bool, together)) == 1
    assert budget.used == 0


def started(target):
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    time.sleep(0.05)
    return thread


def test_first_come_first_served():
    budget, order = Budget(10), []

    def take(size):
        with budget.admitted(size):
            order.append(size)

    with budget.admitted(6):
        waiting = [started(lambda size=size: take(size)) for size in (9, 1)]
        # The small one would fit, but then the large one might wait for ever.
        assert order == []
    for thread in waiting:
        thread.join(10)
    assert order == [9, 1]


def test_closing_turns_away_those_who_wait_and_those_who_come():
    budget, turned_away = Budget(10), []

    def take():
        try:
            with budget.admitted(9):
                pass
        except BudgetClosedError:
            turned_away.append(True)

    with budget.admitted(9):
        waiting = [started(take), started(take)]
        budget.close()
        for thread in waiting:
            thread.join(10)
    assert len(turned_away) == 2
    with pytest.raises(BudgetClosedError), budget.admitted(1):
        pass


def test_an_error_inside_gives_the_bytes_back():
    budget = Budget(10)
    with pytest.raises(ZeroDivisionError), budget.admitted(10):
        _ = 1 / 0
    with budget.admitted(10):
        assert budget.used == 10
