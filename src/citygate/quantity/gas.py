"""From volume to energy: the conversion factor and the calorific value, in exact arithmetic."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass
from decimal import Decimal
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_SCALE = 100_000


@dataclass(frozen=True, slots=True)
class Conversion:
    """How a volume at the meter becomes energy: E = V * z * Hs.

    The product is rounded once, to five decimals, and all else is whole numbers, so sums agree however they are cut.

    Args:
        conversion_ratio: Factor z from the volume at the meter to the volume at base conditions, such as "0.9674" [1].
        calorific_value_kwh_per_m3: Gross calorific value at base conditions, such as "11.2" [kWh/m³].
        source: Where both come from.
    """

    conversion_ratio: str
    calorific_value_kwh_per_m3: str
    source: str

    @classmethod
    def default(cls) -> Conversion:
        """Return the packaged values, to be used until a city states its own."""
        text = (files("citygate.quantity") / "data" / "gas.toml").read_text(encoding="utf-8")
        return cls(**tomllib.loads(text)["conversion"])

    def as_dict(self) -> dict[str, str]:
        """Return the fields, for keeping."""
        return asdict(self)

    @property
    def kwh_per_m3(self) -> Decimal:
        """Energy of a cubic metre at the meter [kWh/m³], to five decimals."""
        product = Decimal(self.conversion_ratio) * Decimal(self.calorific_value_kwh_per_m3)
        return product.quantize(Decimal(1) / _SCALE)

    def energy_wh_e5(self, volume_l: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the energy of volumes [1e-5 Wh], exact."""
        return volume_l * int(self.kwh_per_m3 * _SCALE)

    def volume_l_e5(self, energy_wh: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the volume that an energy stands for, rounded down [1e-5 litre]."""
        factor = int(self.kwh_per_m3 * _SCALE)
        return energy_wh // factor * _SCALE * _SCALE + energy_wh % factor * _SCALE * _SCALE // factor
