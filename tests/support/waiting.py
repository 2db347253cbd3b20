"Patience with what happens in other processes."

import time


def wait_for(true, seconds=120):
    "Return when the condition is true; it must become true in time."
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.005)
