"One way of running for every property test: the same examples each time, and no limit on the time of one."

from hypothesis import settings

settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")
