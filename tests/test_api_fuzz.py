"Thousands of requests that schemathesis makes up from the service's own description."

import schemathesis
from hypothesis import settings
from schemathesis.specs.openapi.checks import positive_data_acceptance
from service import small_models

from ohlcv_ta.serving.api import create_app

schema = schemathesis.openapi.from_asgi("/openapi.json", create_app(small_models()))


# A request can keep every field's rule and still be impossible (VAL above VAH), which JSON Schema can't say.
@schema.parametrize()
@settings(max_examples=60, deadline=None)
def test_the_service_keeps_its_own_description(case):
    case.call_and_validate(excluded_checks=[positive_data_acceptance])
