"""Validates events against the OpenLineage specification: `openlineage.py SCHEMAS EVENTS`.

Each event has to be valid by the schema of events, and each facet by the schema that it names itself.
"""

import json
import pathlib
import sys

import jsonschema
from referencing import Registry, Resource


def main() -> None:
    schemas, events = map(pathlib.Path, sys.argv[1:])
    registry = Registry()
    for path in schemas.rglob("*.json"):
        resource = Resource.from_contents(json.loads(path.read_text()))
        registry = resource @ registry

    def check(reference: str, value: object, where: str) -> None:
        formats = jsonschema.Draft202012Validator.FORMAT_CHECKER
        validator = jsonschema.Draft202012Validator(
            {"$ref": reference}, registry=registry, format_checker=formats
        )
        for error in validator.iter_errors(value):
            sys.exit(f"{where}: {error.json_path}: {error.message}")

    facets_seen = set()
    lines = events.read_text().splitlines()
    for number, line in enumerate(lines, 1):
        event = json.loads(line)
        check(event["schemaURL"], event, f"event {number}")
        places = [event["run"], event["job"], *event["inputs"], *event["outputs"]]
        for place in places:
            for word in ("facets", "inputFacets", "outputFacets"):
                for name, facet in place.get(word, {}).items():
                    facets_seen.add(name)
                    check(facet["_schemaURL"], facet, f"event {number}, facet {name}")
    print(json.dumps({"events": len(lines), "facets": sorted(facets_seen)}))


main()
