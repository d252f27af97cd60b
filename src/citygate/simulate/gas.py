"""What one litre on a register is worth: the two numbers that turn published energy into litres and back."""

from __future__ import annotations

#: Gross calorific value of natural gas H at base conditions [kWh/m³]; within DVGW G 260, group H (8.4 to 13.1).
CALORIFIC_KWH_PER_M3 = 11.2
#: Base volume per volume on the register of a house meter: at 22 hPa gauge, 15 °C and 1013.25 hPa of air,
#: (1013.25 + 22) / 1013.25 * 273.15 / 288.15; the compressibility is taken as 1.
BASE_PER_REGISTER_RATIO = 0.9685
#: Energy of one litre on the register [Wh].
WH_PER_LITRE = CALORIFIC_KWH_PER_M3 * BASE_PER_REGISTER_RATIO
#: Density of natural gas H at base conditions [kg/m³].
DENSITY_KG_PER_M3 = 0.78
