"""`omni doctor`."""

from __future__ import annotations

from omni_agent.cli.options import Json
from omni_agent.cli.output import emit, emit_json


def doctor(json: Json = False) -> int:
    """Say which engines and devices work here, and what the others need."""
    from omni_agent.tools.doctor import doctor as diagnose

    diagnosis = diagnose()
    if json:
        emit_json(diagnosis)
    else:
        for finding in diagnosis.findings:
            mark = "ok " if finding.ok else "-- "
            emit(f"{mark} {finding.part:<16} {finding.detail}")
            if finding.hint:
                emit(f"    {'':<16} {finding.hint}")
    return 0
