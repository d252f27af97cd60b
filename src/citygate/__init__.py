"""Citygate: gas smart metering for a city, from the bytes a meter sends to what people decide with them."""
