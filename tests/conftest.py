"One way of running for every property test (the same examples each time, no limit on the time of one); the longest file first."

from hypothesis import settings

pytest_plugins = ["browsing"] # a browser where a test asks for one

settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")


def pytest_collection_modifyitems(items):
    "The small run of the pipeline takes as long as all else, so it starts first, beside it."
    items.sort(key=lambda item: item.path.name != "test_pipeline.py")
