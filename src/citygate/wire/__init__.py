"""Pure codecs: bytes of a meter in, a telegram or a reason out; no input or output, no clock, no state."""
