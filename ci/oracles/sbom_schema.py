#!/usr/bin/env python3
"""Asks CycloneDX's own JSON schema about a bill of materials.

    ci/oracles/sbom_schema.py SBOM

The schema comes with the package cyclonedx-python-lib[json-validation]; where that isn't installed, the check is skipped. The schema
file itself can be given in CYCLONEDX_SCHEMA instead, for a host with only the package jsonschema.
"""
import json
import os
import sys


def main():
    text = open(sys.argv[1], encoding="utf-8").read()
    schema = os.environ.get("CYCLONEDX_SCHEMA")
    if schema:
        try:
            import jsonschema
        except ImportError as error:
            return skip(error)
        with open(schema, encoding="utf-8") as file:
            jsonschema.validate(json.loads(text), json.load(file))
    else:
        try:
            from cyclonedx.schema import SchemaVersion
            from cyclonedx.validation.json import JsonStrictValidator
            from cyclonedx.exception import MissingOptionalDependencyException
        except ImportError as error:
            return skip(error)
        try:
            found = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
        except MissingOptionalDependencyException as error:
            return skip(error)
        if found:
            print(f"not valid: {found}")
            return 1
    print(f"valid CycloneDX: {len(json.loads(text)['components'])} components")
    return 0


def skip(error):
    print(f"SKIPPED cyclonedx: {error}; pip install 'cyclonedx-python-lib[json-validation]'")
    return 0


if __name__ == "__main__":
    sys.exit(main())
