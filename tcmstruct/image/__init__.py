"""Tongue photographs without trained networks: safe decoding, quality gate, colour, crop, classical measurements.

Arrays are numpy; a photo is (H, W, 3) uint8 in the order R G B and in sRGB, a mask is (H, W) bool. No torch here.
"""
