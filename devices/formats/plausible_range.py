"""What a living person can have: outside of it a value is kept and marked, never dropped."""

from vitals.observation import VitalKey
from vitals.vocabulary import vital_code


def is_plausible(key: VitalKey, value: float) -> bool:
    """Whether a value in the vocabulary's unit is inside its range; a key without a range always is."""
    code = vital_code(key)
    if code is None or code.plausible_low is None or code.plausible_high is None:
        return True
    return code.plausible_low <= value <= code.plausible_high
