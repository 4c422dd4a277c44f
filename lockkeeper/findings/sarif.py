"""Findings as SARIF 2.1.0, the format of code scanning."""

from pathlib import PurePath
from typing import Final
from urllib.parse import quote

from lockkeeper.findings.finding import FileFinding, FilesReport
from lockkeeper.findings.rule_texts import rule_text
from policy.core.objects.json_patch import JsonObject

_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_AS_IT_IS: Final = "/-._~!$&'()*+,;=@"
"""What a path in a URI may hold as it is; a colon is escaped, since a scheme could end there."""


def sarif(report: FilesReport, version: str) -> JsonObject:
    """Return one run of the tool with a result for each finding."""
    codes = sorted({each.code for each in report.findings})
    numbers = {code: number for number, code in enumerate(codes)}
    driver: JsonObject = {"name": "lockkeeper", "version": version, "rules": [_rule(code) for code in codes]}
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "results": [_result(each, numbers[each.code]) for each in report.findings],
            }
        ],
    }


def _rule(code: str) -> JsonObject:
    text = rule_text(code)
    return {
        "id": code,
        "shortDescription": {"text": text.means},
        "fullDescription": {"text": text.means},
        "help": {"text": text.remedy},
    }


def _result(finding: FileFinding, rule: int) -> JsonObject:
    about = f"{finding.object}: " if finding.object else ""
    policy = f"[{finding.policy}] " if finding.policy else ""
    location: JsonObject = {
        "physicalLocation": {
            "artifactLocation": {"uri": _uri(finding.file)},
            "region": {"startLine": max(finding.line, 1)},
        }
    }
    if finding.object:
        location["logicalLocations"] = [{"fullyQualifiedName": finding.object, "kind": "object"}]
    return {
        "ruleId": finding.code,
        "ruleIndex": rule,
        "level": finding.level.value,
        "message": {"text": f"{policy}{about}{finding.sentence}"},
        "locations": [location],
    }


def _uri(file: str) -> str:
    """Return a path as a URI: relative ones are taken from the root of the repository."""
    path = PurePath(file)
    scheme = "file://" if path.is_absolute() else ""
    return scheme + quote(path.as_posix(), safe=_AS_IT_IS, errors="surrogateescape")
