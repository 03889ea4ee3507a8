"""The recording of a call: a small real WAV, whose tone follows from the rowId. The real one's type is not known."""

import io
import math
import struct
import wave

MEDIA_TYPE = "audio/wav"
_RATE_HZ = 8000
_LENGTH_S = 0.25
_LOUDNESS = 8000


def recording(row_id: int) -> bytes:
    """Make a quarter of a second of one channel at 16 bits: 4 kB."""
    tone_hz = 300 + row_id % 40 * 20
    samples = (
        int(_LOUDNESS * math.sin(2 * math.pi * tone_hz * at / _RATE_HZ)) for at in range(int(_RATE_HZ * _LENGTH_S))
    )
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(_RATE_HZ)
        sound.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return file.getvalue()
