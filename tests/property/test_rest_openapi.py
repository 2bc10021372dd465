"""Whatever fits the OpenAPI document, and much that does not: no answer is a 500, and each is as the document says."""

import schemathesis
from fake_structurers import Fake
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from tcmstruct.serve.app import make_app
from tcmstruct.serve.guard import Gate
from tcmstruct.serve.limits import Limits
from tcmstruct.serve.workers import Workers


class Seeing(Fake):
    """Takes a photograph beside the text, as the pipeline does."""

    def structure(self, text, tongue_img=None, *, id="1"):
        result = super().structure(text)
        result.id, result.tongue = id, {"bytes": len(tongue_img)}
        return result


@schemathesis.serializer("application/x-ndjson")
def lines(ctx, value):
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


app = make_app(Workers(Seeing, 0), Gate(names=frozenset({"testserver"})), Limits(batch_records=5))
schema = schemathesis.openapi.from_asgi("/v1/openapi.json", app)


@schema.parametrize()
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_no_request_is_answered_otherwise_than_the_document_says(case):
    case.call_and_validate(checks=[not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance])
