"""What a pair list gives away: shortcuts, shared users and pictures, contradictions.

Looks at pairs, posts and files; trains and scores nothing.
"""

from __future__ import annotations

from i2pa.audit.balance import balance_time
from i2pa.audit.checks import Check, Skipped
from i2pa.audit.pairlist import read_pair_list
from i2pa.audit.run import Audit, audit_pairs

__all__ = ["Audit", "Check", "Skipped", "audit_pairs", "balance_time", "read_pair_list"]
