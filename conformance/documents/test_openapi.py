"""Schemathesis: many requests that the OpenAPI document allows, and many that it does not, each answered as it says."""

import os
import pathlib
import subprocess
import sys
import unittest

from openapi_spec_validator import OpenAPIV31SpecValidator

from server import API_KEY, AUTHENTICATED, DOCUMENTS, Server, document

EXAMPLES = "100"
"""Random requests for each operation and each kind of them, besides those that are made by rule."""

SETTINGS = f"""
log_level = "warn"

[timeouts]
# A poll answers soon, whatever it asks for.
wait = "100ms"

[limits]
# One user does it all.
address = 100_000
user = 100_000
publishes = 100_000
accepts = 100_000
channels = 100_000

[[channel]]
pattern = "**"
track = "members"
{AUTHENTICATED}
"""


class OpenApi(unittest.TestCase):
    def test_the_document_is_one(self):
        self.assertEqual([error.message for error in OpenAPIV31SpecValidator(document("openapi")).iter_errors()], [])

    def test_the_server_answers_as_the_document_says(self):
        everything = [word for action in ("subscribe", "publish", "manage") for word in (f"--{action}", "**")]
        with Server(SETTINGS) as server:
            variables = {
                "CONFORMANCE_URL": server.url,
                "CONFORMANCE_API_KEY": API_KEY,
                "CONFORMANCE_TOKEN": server.token(*everything),
            }
            program = pathlib.Path(sys.executable).with_name("schemathesis")
            arguments = [program, "run", DOCUMENTS / "openapi.json", "--url", server.url, "--max-examples", EXAMPLES]
            arguments += ["--continue-on-failure"]
            run = subprocess.run(arguments, cwd=pathlib.Path(__file__).parent, env={**os.environ, **variables})
        self.assertEqual(run.returncode, 0, "what failed is told above")
