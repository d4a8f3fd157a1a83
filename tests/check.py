"""check.py EXPRESSION: holds the JSON on standard input to `.path == value`, several joined by `or`."""

import json
import sys


def value(document, path):
    for name in path.strip(".").split("."):
        document = document[name]
    return document


document = json.load(sys.stdin)
for clause in sys.argv[1].split(" or "):
    path, wanted = clause.split(" == ")
    if value(document, path) == json.loads(wanted):
        sys.exit(0)
sys.exit(f"not {sys.argv[1]}: {json.dumps(document)[:2000]}")
