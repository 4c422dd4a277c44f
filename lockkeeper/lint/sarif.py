"""Findings as SARIF 2.1.0, which code scanning and editors show beside the lines."""

from collections.abc import Sequence
from typing import Final

from lockkeeper.lint.lint import LintFinding
from policy.core.objects.json_patch import JsonObject

_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif(findings: Sequence[LintFinding], version: str) -> JsonObject:
    """Return one run of the tool with a result for each finding."""
    codes = sorted({each.code for each in findings})
    driver: JsonObject = {"name": "lockkeeper", "version": version, "rules": [{"id": code} for code in codes]}
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": [_result(each) for each in findings]}],
    }


def _result(finding: LintFinding) -> JsonObject:
    text = f"{finding.object}: {finding.field}: {finding.message}"
    place: JsonObject = {
        "artifactLocation": {"uri": finding.file},
        "region": {"startLine": max(finding.line, 1)},
    }
    return {
        "ruleId": finding.code,
        "level": finding.level.value,
        "message": {"text": text},
        "locations": [{"physicalLocation": place}],
    }
