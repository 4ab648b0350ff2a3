"""Judges a report of the Autobahn TestSuite's fuzzing client: every case is to be OK or informational.

    python3 conformance/autobahn/judge.py target/autobahn/reports/index.json

It prints the counts by section, names what failed or is absent, and with `--record` writes results.json beside it.
"""

import collections
import json
import pathlib
import sys

PASSED = ("OK", "INFORMATIONAL")
RESULTS = pathlib.Path(__file__).with_name("results.json")


def order(number):
    return [int(part) for part in number.split(".")]


def record(cases):
    lines = [
        '    "%s": ["%s", "%s", %s]'
        % (number, case["behavior"], case["behaviorClose"], json.dumps(case["remoteCloseCode"]))
        for number, case in sorted(cases.items(), key=lambda item: order(item[0]))
    ]
    RESULTS.write_text(
        '{\n  "suite": "autobahntestsuite 25.10.1",\n'
        '  "values": ["behavior", "behaviorClose", "remoteCloseCode"],\n'
        '  "cases": {\n' + ",\n".join(lines) + "\n  }\n}\n"
    )


def main(path, *flags):
    (cases,) = json.loads(pathlib.Path(path).read_text()).values()
    sections = collections.defaultdict(collections.Counter)
    failed = []
    for number, case in sorted(cases.items(), key=lambda item: order(item[0])):
        sections[order(number)[0]][case["behavior"]] += 1
        if case["behavior"] not in PASSED or case["behaviorClose"] not in PASSED:
            failed.append("%s: %s, close: %s" % (number, case["behavior"], case["behaviorClose"]))
    for section, counts in sections.items():
        print("section %2d: %s" % (section, ", ".join("%d %s" % (n, name) for name, n in counts.items())))
    if RESULTS.exists():
        known = json.loads(RESULTS.read_text())["cases"]
        failed += ["%s: was not run" % number for number in known if number not in cases]
    print("\n".join(failed + ["%d cases, %d of them failed or were not run" % (len(cases), len(failed))]))
    if "--record" in flags and not failed:
        record(cases)
    return 1 if failed or not cases else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
