"""Sounds of procedural objects, one per class: their frequency bands overlap little, and pauses last at most 0.3 s.

Every sound is a function of a random generator, times [T] in seconds and a factor of all its frequencies; it returns
float64 [T].
"""

import numpy as np
from numpy.typing import NDArray

from avsa_fast.scenes.sound import RATE

Signal = NDArray[np.float64]
TAU = 2 * np.pi


def hum(rng: np.random.Generator, time: Signal, pitch: float) -> Signal:
    """Two low tones with slow amplitude modulation."""
    tones = sum(np.sin(TAU * 300 * k * pitch * time + rng.uniform(0, TAU)) / k for k in (1, 2))
    return (1 + 0.6 * _wave(rng, time, 3.5)) * np.asarray(tones)


def thud(rng: np.random.Generator, time: Signal, pitch: float) -> Signal:
    """Decaying bursts of low-frequency noise."""
    return np.exp(-_since_beat(rng, time, 0.25) / 0.08) * _noise(rng, time, 90 * pitch, 200 * pitch)


def siren(rng: np.random.Generator, time: Signal, pitch: float) -> Signal:
    """A tone with slow frequency modulation."""
    rate = 2.5 * rng.uniform(0.85, 1.15)
    modulation = 0.15 / (TAU * rate) * np.sin(TAU * rate * time + rng.uniform(0, TAU))
    return np.sin(TAU * 1000 * pitch * (time + modulation))


def bell(rng: np.random.Generator, time: Signal, pitch: float) -> Signal:
    """Decaying strokes with inharmonic partials."""
    partials = ((1.0, 1.0), (0.7, 1.18), (0.4, 1.33))
    tones = sum(level * np.sin(TAU * 1700 * ratio * pitch * time) for level, ratio in partials)
    return np.exp(-_since_beat(rng, time, 0.29) / 0.1) * np.asarray(tones)


def buzz(rng: np.random.Generator, time: Signal, pitch: float) -> Signal:
    """A cluster of tones that is switched on and off."""
    tones = sum(np.sin(TAU * (3100 + 70 * k) * pitch * time + rng.uniform(0, TAU)) for k in range(4))
    return np.asarray(tones) * np.clip(3 * _wave(rng, time, 4) + 1, 0, 1)


def chirp(rng: np.random.Generator, time: Signal, pitch: float) -> Signal:
    """Short rising sweeps."""
    since = _since_beat(rng, time, 0.2)
    sounding = np.clip(since / 0.13, 0, 1)
    return np.sin(np.pi * sounding) ** 2 * np.sin(TAU * pitch * (4200 + 4500 * since) * since)


def hiss(rng: np.random.Generator, time: Signal, pitch: float) -> Signal:
    """Band-pass noise with slow amplitude modulation."""
    return (1 + 0.7 * _wave(rng, time, 6)) * _noise(rng, time, 6300 * pitch, 7600 * pitch)


def rattle(rng: np.random.Generator, time: Signal, pitch: float) -> Signal:
    """Fast, high-pitched, decaying clicks."""
    since = _since_beat(rng, time, 0.07)
    return np.exp(-since / 0.006) * np.sin(TAU * 9800 * pitch * since)


def _wave(rng: np.random.Generator, time: Signal, rate: float) -> Signal:
    """A slow sine in [-1, 1] of random phase, with its rate in Hz varied by ±15 %."""
    wave: Signal = np.sin(TAU * rate * rng.uniform(0.85, 1.15) * time + rng.uniform(0, TAU))
    return wave


def _since_beat(rng: np.random.Generator, time: Signal, period: float) -> Signal:
    """Seconds since the last of regular beats, with their period varied by ±15 %."""
    period *= rng.uniform(0.85, 1.15)
    return (time + rng.uniform(0, period)) % period


def _noise(rng: np.random.Generator, time: Signal, low: float, high: float) -> Signal:
    """Gaussian noise, band-limited to between two frequencies in Hz."""
    spectrum = np.fft.rfft(rng.standard_normal(len(time)))
    frequency = np.fft.rfftfreq(len(time), 1 / RATE)
    return np.fft.irfft(np.where((frequency > low) & (frequency < high), spectrum, 0), len(time))
