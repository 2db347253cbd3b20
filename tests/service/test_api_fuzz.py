"Thousands of requests that schemathesis makes up from the service's own description."

import tempfile
from pathlib import Path

import schemathesis
from hypothesis import settings
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance
from support.small_models import small_models

from ohlcv_ta.serving.http.app import create_app
from ohlcv_ta.serving.settings import Settings

folder = tempfile.TemporaryDirectory()
asked = Settings(cache=Path(folder.name) / "cache", scan_folder=Path(folder.name) / "scans", scan_pairs=1)
schema = schemathesis.openapi.from_asgi("/openapi.json", create_app(small_models(), asked))


# A request can keep every field's rule and still be impossible (VAL above VAH, a pair that nobody has), which JSON Schema
# can't say. A request that is refused for its size is refused, though schemathesis does not count that as such.
@schema.parametrize()
@settings(max_examples=60, deadline=None)
def test_the_service_keeps_its_own_description(case):
    response = case.call()
    too_large = [negative_data_rejection] if response.status_code == 413 else []
    case.validate_response(response, excluded_checks=[positive_data_acceptance, *too_large])
