"""What happens when a customer's TOML comes in, as ``[onboarding]`` of it says. Pure.

[onboarding]
run = true
"""

from __future__ import annotations

from pydantic import Field

from capflow_assets.customers.table_inputs import Declared


class OnboardingSettings(Declared):
    """Whether the first run is started by itself once the file lies in the home's customers folder."""

    run: bool = Field(default=False, description="Start the first run when the sensor brings the customer in.")
