"""Everything between pixels or samples and the language model's width: both towers, both projectors, in bounded memory.

Work goes through in passes of a fixed size, so 256 frames, a hundred pages or an hour of sound need no more memory on
the card than the first pass, beside the tokens that come out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn.attention import sdpa_kernel

from omni_agent.errors import EngineError
from omni_agent.runtime import audio_features, evs, images, video
from omni_agent.runtime.audio import SoundEncoder
from omni_agent.runtime.images import Grid
from omni_agent.runtime.layers import ANY_LENGTH
from omni_agent.runtime.media_config import SoundConfig, VisionConfig
from omni_agent.runtime.memory import memory_to
from omni_agent.runtime.projector import SOUND_NAMES, VISION_NAMES, projector
from omni_agent.runtime.vision import PATCHES_AT_ONCE, Patches, VisionTower, merge, passes

CLIPS_AT_ONCE = 16  # of 30 seconds: about 1.5 GB of activations at full size, nearly all in the first convolution

SKIPPED = {  # parts of a tensor's name -> why nothing of it is loaded
    "vision_model.radio_model.input_conditioner.": "pictures are normalised before the tower, once",
    "sound_encoder.encoder.feature_extractor.": "the mel bank and the window are computed",
    ".num_batches_tracked": "a statistic of the training",
}


@dataclass(frozen=True, slots=True)
class Film:
    """A video as it is encoded: its frames uint8 [H, W, 3] in order, all of `width` × `height`, read once.

    `indices` are the frames' numbers in the source, whose rate is `fps`; the times told to the model follow from them.
    They may be filled in while the frames are read: they are looked at afterwards.
    """

    frames: Iterable[npt.NDArray[np.uint8]]
    width: int
    height: int
    indices: Sequence[int]
    fps: float


class Encoders:
    """The media side of the model on one device. Weights are uninitialised until something fills `tensors()`."""

    def __init__(
        self,
        vision: VisionConfig,
        sound: SoundConfig | None,
        device: torch.device | str,
        dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        self.vision, self.sound, self.device, self.dtype = vision, sound, torch.device(device), dtype
        with torch.device("meta"):
            self.parts: dict[str, nn.Module] = {
                "vision_model.radio_model.model.": VisionTower(vision),
                "mlp1.": projector(4 * vision.shape.hidden, vision.projector, vision.output, VISION_NAMES),
            }
            if sound is not None:
                self.parts["sound_encoder.encoder."] = SoundEncoder(sound)
                self.parts["sound_projection."] = projector(
                    sound.hidden, sound.projector, sound.output, SOUND_NAMES, sound.projector_bias
                )
        for part in self.parts.values():
            part.to(dtype).eval()
            if self.device.type != "meta":  # not by `to_empty`: on meta tensors that imports sympy, 2 s of every start
                like = part.state_dict().items()
                empty = {name: torch.empty(t.shape, dtype=t.dtype, device=self.device) for name, t in like}
                part.load_state_dict(empty, assign=True)
            part.requires_grad_(False)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Every checkpoint tensor's name and where its values go; of the rest, `SKIPPED` says why."""
        return {
            prefix + name: tensor
            for prefix, part in self.parts.items()
            for name, tensor in part.state_dict().items()
            if not name.endswith(".num_batches_tracked")
        }

    def pictures(self, pictures: Sequence[npt.NDArray[np.uint8]], grids: Sequence[Grid]) -> list[torch.Tensor]:
        """Each picture's tokens [grid.tokens, hidden], for pixels [H, W, 3] and the grids `picture_grids` gave them.

        This and the other two raise EngineError where the device's memory does not suffice, and can be called again.
        """

        def patches() -> Iterator[Patches]:
            for pixels, grid in zip(pictures, grids, strict=True):
                values = images.picture_patches(pixels, grid, self.vision, self.device)
                yield Patches(values.to(self.dtype), grid)

        with memory_to("look at the pictures"):
            return [tokens for batch in self._projected(patches()) for tokens in batch]

    def film(self, film: Film, evs_rate: float = 0.0) -> tuple[list[torch.Tensor], evs.Saving]:
        """A video's tokens, tubelet by tubelet [kept, hidden], with the share `evs_rate` of them left out.

        A tubelet whose pixels equal those of the one before has its tokens, too, and is not encoded again.
        """
        grid = video.frame_grid(film.width, film.height, self.vision)
        numbers: list[int] = []
        with memory_to("watch the video"):
            frames = video.changed_frames(film.frames, self.vision, numbers)
            chunks = video.tubelet_patches(frames, grid, self.vision, self.device)
            batches = list(self._projected(Patches(values.to(self.dtype), grid) for values in chunks))
            tokens = torch.cat(batches) if batches else torch.empty(0, grid.tokens, self.vision.output)
            encoded = len(tokens)
            if encoded < len(numbers):
                tokens = tokens[numbers]
            tubelets = video.tubelet_count(len(film.indices), self.vision)
            if len(tokens) != tubelets:
                raise EngineError(f"a video of {len(film.indices)} frames gave {len(tokens)} tubelets of {tubelets}")
            kept, saving = evs.sample(tokens, evs_rate)
            return kept, replace(saving, unchanged=tubelets - encoded)

    def _projected(self, patches: Iterable[Patches]) -> Iterator[torch.Tensor]:
        """[count, tokens, hidden] for each piece that the passes make, in order."""
        for batch in passes(patches, PATCHES_AT_ONCE):
            for features in self.parts["vision_model.radio_model.model."](batch):
                yield self.parts["mlp1."](merge(features))

    def recordings(self, recordings: Sequence[npt.NDArray[np.float32]]) -> list[torch.Tensor]:
        """Each recording's tokens [n, hidden], for mono samples at the encoder's rate."""
        assert self.sound is not None, "this checkpoint has no sound encoder"
        owned = [
            (owner, clip)
            for owner, samples in enumerate(recordings)
            for clip in audio_features.clips(samples, self.sound)
        ]
        collected: list[list[torch.Tensor]] = [[] for _ in recordings]
        with memory_to("listen"):
            for at in range(0, len(owned), CLIPS_AT_ONCE):
                batch = owned[at : at + CLIPS_AT_ONCE]
                for (owner, _), tokens in zip(batch, self._heard([clip for _, clip in batch]), strict=True):
                    collected[owner].append(tokens)
            return [torch.cat(parts) for parts in collected]

    def _heard(self, clips: Sequence[npt.NDArray[np.float32]]) -> Sequence[torch.Tensor]:
        """Each clip's tokens [n, hidden]."""
        assert self.sound is not None
        features, lengths = audio_features.log_mel(clips, self.sound, self.device)
        with sdpa_kernel(ANY_LENGTH, set_priority=True):
            encoded = self.parts["sound_encoder.encoder."](features, lengths)
        projected: torch.Tensor = self.parts["sound_projection."](torch.cat(encoded))
        return projected.split([len(clip) for clip in encoded])
