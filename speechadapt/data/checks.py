"""Checks: what can be wrong with manifests, as findings with ids."""
import dataclasses
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    severity: str
    check: str
    ids: tuple[str, ...]
    message: str
