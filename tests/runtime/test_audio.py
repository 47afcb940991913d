"""The sound encoder against transformers' Parakeet encoder, the relative shift by hand, batches against clips."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import ParakeetEncoderConfig
from transformers.models.parakeet.modeling_parakeet import ParakeetEncoder

from omni_agent.runtime.audio import SoundEncoder, relative_positions, shifted
from omni_agent.runtime.audio_features import frame_tokens
from omni_agent.runtime.media_config import SoundConfig

TINY = SoundConfig(hidden=32, layers=3, heads=4, feed_forward=64, channels=8, mels=128, projector=48, output=40)
CLOSE = {"atol": 2e-5, "rtol": 1e-4}  # float32 sums in another order; every block ends in a norm, so values are near 1


def random_encoder(config: SoundConfig = TINY) -> SoundEncoder:
    torch.manual_seed(0)
    encoder = SoundEncoder(config).requires_grad_(False)
    for name, tensor in encoder.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2)
        elif tensor.is_floating_point():
            tensor.copy_(torch.randn_like(tensor) * (0.5 if tensor.ndim == 1 else tensor[0].numel() ** -0.5))
            if "norm" in name and name.endswith("weight"):
                tensor.add_(1)
    return encoder


def as_parakeet(encoder: SoundEncoder, config: SoundConfig = TINY) -> Any:
    theirs = ParakeetEncoder(
        ParakeetEncoderConfig(
            hidden_size=config.hidden,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            intermediate_size=config.feed_forward,
            subsampling_conv_channels=config.channels,
            num_mel_bins=config.mels,
            attention_bias=config.attention_bias,
            convolution_bias=config.convolution_bias,
            scale_input=config.scale_input,
        )
    ).eval()
    missing, unexpected = theirs.load_state_dict(encoder.state_dict(), strict=False)
    assert not missing and not unexpected  # the names are the same
    return theirs


@pytest.mark.parametrize("flags", [False, True])
def test_clips_of_several_lengths_as_transformers_encodes_them(flags: bool) -> None:
    config = SoundConfig(
        **{field: getattr(TINY, field) for field in ("hidden", "layers", "heads", "feed_forward", "channels")},
        attention_bias=flags,
        convolution_bias=flags,
        scale_input=flags,
    )
    encoder = random_encoder(config)
    lengths = torch.tensor([203, 64, 10, 200])
    features = torch.randn(4, 203, 128) * (torch.arange(203) < lengths[:, None])[..., None]
    ours = encoder(features, lengths)
    with torch.no_grad():
        mask = torch.arange(203) < lengths[:, None]
        theirs = as_parakeet(encoder, config)(features, attention_mask=mask).last_hidden_state
    assert [len(clip) for clip in ours] == [26, 8, 2, 25]
    for clip, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(clip, other[: len(clip)], **CLOSE)


def test_a_clip_does_not_depend_on_its_neighbours() -> None:
    encoder = random_encoder()
    features = torch.randn(3, 120, 128)
    lengths = torch.tensor([120, 57, 88])
    together = encoder(features * (torch.arange(120) < lengths[:, None])[..., None], lengths)
    for clip, length, values in zip(together, lengths.tolist(), features, strict=True):
        (alone,) = encoder(values[None, :length], torch.tensor([length]))
        assert len(clip) == frame_tokens(length)
        torch.testing.assert_close(clip, alone, **CLOSE)


def test_a_row_of_the_shift_begins_at_its_own_distance() -> None:
    """Column j of row i holds distance i − j, which stands at L − 1 − (i − j) among the distances L − 1 … −(L − 1)."""
    length = 5
    scores = torch.arange(length * (2 * length - 1), dtype=torch.float32).view(1, length, -1)
    expected = [[scores[0, i, length - 1 - (i - j)].item() for j in range(length)] for i in range(length)]
    assert shifted(scores)[0].tolist() == expected


def test_positions_take_turns_of_sine_and_cosine() -> None:
    positions = relative_positions(4, 6, torch.device("cpu"))
    assert positions.shape == (7, 6)
    distance = torch.tensor([3.0, 2, 1, 0, -1, -2, -3])
    torch.testing.assert_close(positions[:, 0], distance.sin())
    torch.testing.assert_close(positions[:, 1], distance.cos())
    torch.testing.assert_close(positions[:, 4], (distance / 10_000 ** (4 / 6)).sin())
