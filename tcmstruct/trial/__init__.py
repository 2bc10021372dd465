"""What a schema pack would extract from one's own records, before anybody uses it: faults, coverage, hits and near misses."""

from __future__ import annotations

from tcmstruct.trial.checking import Checked, check_pack
from tcmstruct.trial.doubts import Known
from tcmstruct.trial.findings import FAULT, NOTE, WARNING, Finding
from tcmstruct.trial.records import TrialRecord, sample_of
from tcmstruct.trial.trying import FieldTrial, Hit, NearMiss, try_fields

__all__ = ["FAULT", "NOTE", "WARNING", "Checked", "FieldTrial", "Finding", "Hit", "Known", "NearMiss", "TrialRecord", "check_pack",
           "sample_of", "try_fields"]
