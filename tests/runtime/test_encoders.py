"""From pixels and samples to the language model, on the tiny checkpoint.

Against transformers' whole model where that is right, against ourselves where it is not (pruning, videos, clips).
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from transformers import NemotronHConfig, ParakeetEncoderConfig, RadioConfig
from transformers.models.nemotron_h_omni.configuration_nemotron_h_omni import NemotronH_Omni_Reasoning_V3_Config
from transformers.models.nemotron_h_omni.modeling_nemotron_h_omni import NemotronH_Omni_Reasoning_V3

from benchmarks import make_checkpoint
from benchmarks.record_vllm import tone
from omni_agent.errors import EngineError
from omni_agent.runtime import encoders, evs, images, layout, video
from omni_agent.runtime.audio_features import clips, log_mel, sound_tokens
from omni_agent.runtime.encoders import Encoders, Film
from omni_agent.runtime.images import Grid, picture_grids
from omni_agent.runtime.loading import Loaded, load
from omni_agent.runtime.tokenizer import Tokenizer

CLOSE = {"atol": 2e-5, "rtol": 1e-4}  # float32 sums in another order through a tower and a projector; values near 1
LOGITS = {"atol": 2e-4, "rtol": 1e-4}  # and through ten blocks of the language model
KINDS = {"M": "linear_attention", "E": "moe", "*": "full_attention"}
Pixels = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def whole(folder: Path) -> Loaded:
    return load(folder, device="cpu", dtype=torch.float32, media=True)


@pytest.fixture(scope="module")
def towers(whole: Loaded) -> Encoders:
    assert whole.encoders is not None
    return whole.encoders


@pytest.fixture(scope="module")
def theirs() -> Any:
    """transformers' model of the tiny checkpoint's weights, renamed and stacked as its own loader would."""
    raw = make_checkpoint.config()
    text = dict(raw["llm_config"])
    pattern = text.pop("hybrid_override_pattern")
    for key in ("num_hidden_layers", "model_type"):
        text.pop(key)
    vision, sound = make_checkpoint.VISION, make_checkpoint.SOUND
    config = NemotronH_Omni_Reasoning_V3_Config(
        text_config=NemotronHConfig(**text, layers_block_type=[KINDS[letter] for letter in pattern]),
        vision_config=RadioConfig(
            hidden_size=vision["width"],
            num_hidden_layers=vision["layers"],
            num_attention_heads=vision["heads"],
            mlp_ratio=vision["mlp"] / vision["width"],
            max_img_size=vision["table"] * vision["patch"],
            video_temporal_patch_size=2,
        ),
        audio_config=ParakeetEncoderConfig(
            hidden_size=sound["hidden_size"],
            num_hidden_layers=sound["layers"],
            num_attention_heads=sound["heads"],
            intermediate_size=sound["ff"],
            subsampling_conv_channels=sound["channels"],
            num_mel_bins=sound["mels"],
            attention_bias=False,
            convolution_bias=False,
            scale_input=False,
            projection_hidden_size=32,
            projection_bias=False,
        ),
        projector_hidden_size=48,
        vision_hidden_size=vision["width"],
        image_token_id=18,
        audio_token_id=27,
    )
    model = NemotronH_Omni_Reasoning_V3(config).eval()
    missing, unexpected = model.load_state_dict(renamed(make_checkpoint.tensors(raw), pattern, 16), strict=False)
    assert not unexpected
    assert all(any(part in name for part in ("layer_scale", "summary_idxs", "final_layernorm")) for name in missing)
    return model


def renamed(tensors: dict[str, Any], pattern: str, experts: int) -> dict[str, Any]:
    radio, patches = "vision_model.radio_model.model.", "vision_model.radio_model.model.patch_generator."
    renames = (
        ("language_model.backbone", "language_model.model"),
        (patches + "embedder", "vision_model.embeddings.patch_projection"),
        (patches + "video_embedder", "vision_model.embeddings.video_patch_projection"),
        (patches + "pos_embed", "vision_model.embeddings.position_embedding"),
        (patches + "cls_token.token", "vision_model.embeddings.cls_register_token"),
        (radio + "blocks", "vision_model.encoder.layer"),
        ("attn.proj", "attention.o_proj"),
        ("mlp1.0", "multi_modal_projector.layer_norm"),
        ("mlp1.1", "multi_modal_projector.linear_1"),
        ("mlp1.3", "multi_modal_projector.linear_2"),
        ("sound_encoder.encoder", "audio_tower"),
        ("sound_projection.norm", "embed_audio.layer_norm"),
        ("sound_projection.linear1", "embed_audio.linear_1"),
        ("sound_projection.linear2", "embed_audio.linear_2"),
    )
    state = {}
    for name, value in tensors.items():
        if "input_conditioner" in name or "feature_extractor" in name:
            continue
        for ours, other in renames:
            name = name.replace(ours, other)
        if "attn.qkv" in name:
            for part, piece in zip("qkv", value.chunk(3), strict=True):
                state[name.replace("attn.qkv", f"attention.{part}_proj")] = piece
        else:
            state[name] = value
    for number, letter in enumerate(pattern):
        for part in ("up_proj", "down_proj") if letter == "E" else ():
            root = f"language_model.model.layers.{number}.mixer.experts."
            state[root + part] = torch.stack([state.pop(f"{root}{e}.{part}.weight") for e in range(experts)])
    return state


def pictures_of(*sizes: tuple[int, int], seed: int = 0) -> list[Pixels]:
    draw = np.random.default_rng(seed)
    return [draw.integers(0, 256, (height, width, 3), dtype=np.uint8) for width, height in sizes]


def flat_patches(pictures: list[Pixels], grids: list[Grid], towers: Encoders) -> Any:
    """All pictures' patches one after another, as transformers takes them."""
    each = zip(pictures, grids, strict=True)
    return torch.cat([images.picture_patches(p, grid, towers.vision, towers.device)[0] for p, grid in each])


def film_of(frames: int, width: int = 96, height: int = 64, seed: int = 5) -> Film:
    return Film(pictures_of(*[(width, height)] * frames, seed=seed), width, height, range(0, frames * 15, 15), 30.0)


def test_every_tensor_has_a_place_or_a_reason(whole: Loaded, towers: Encoders) -> None:
    names = set(make_checkpoint.tensors(make_checkpoint.config()))
    assert set(towers.tensors()) | set(whole.skipped) | {n for n in names if n.startswith("language_model.")} == names
    assert not set(towers.tensors()) & set(whole.skipped)
    assert set(whole.skipped.values()) == set(encoders.SKIPPED.values())


def test_pictures_as_transformers_encodes_them(towers: Encoders, theirs: Any) -> None:
    pictures = pictures_of((64, 64), (200, 90), (33, 140))
    grids = picture_grids([(p.shape[1], p.shape[0]) for p in pictures], towers.vision)
    ours = towers.pictures(pictures, grids)
    patches = flat_patches(pictures, grids, towers)
    with torch.no_grad():
        other = theirs.get_image_features(patches, torch.tensor([list(grid) for grid in grids])).pooler_output
    assert [len(tokens) for tokens in ours] == [grid.tokens for grid in grids]
    for tokens, expected in zip(ours, other, strict=True):
        torch.testing.assert_close(tokens, expected, **CLOSE)


def test_a_video_as_transformers_encodes_it(towers: Encoders, theirs: Any) -> None:
    """Its encoder is right up to the call that joins the frames; five frames make three tubelets."""
    film = film_of(5)
    grid = video.frame_grid(96, 64, towers.vision)
    assert grid == Grid(4, 6)
    ours, saving = towers.film(film)
    frames = images.normalised(torch.from_numpy(np.stack(list(film.frames))), grid, towers.vision)
    with torch.no_grad():
        other = theirs.get_video_features(frames).pooler_output
    torch.testing.assert_close(torch.stack(ours), other, **CLOSE)
    assert saving == evs.Saving(18, 18)


@pytest.mark.parametrize("order", [[0, 0, 0, 0], [0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0], [0, 1, 0, 1, 1, 0, 2]])
def test_tubelets_that_do_not_change_are_not_encoded(towers: Encoders, order: list[int]) -> None:
    """The tokens are those of encoding every tubelet by itself, for an odd last frame as well."""
    frames = list(film_of(3).frames)
    shown = [frames[number] for number in order]
    pairs = [(shown[at], shown[min(at + 1, len(shown) - 1)]) for at in range(0, len(shown), 2)]
    ours, saving = towers.film(Film(shown, 96, 64, range(len(shown)), 30.0))
    alone = [towers.film(Film(pair, 96, 64, range(2), 30.0))[0][0] for pair in pairs]
    torch.testing.assert_close(torch.stack(ours), torch.stack(alone), **CLOSE)
    same = sum(all(map(np.array_equal, now, before)) for before, now in itertools.pairwise(pairs))
    assert saving == evs.Saving(6 * len(pairs), 6 * len(pairs), unchanged=same)


def test_sound_as_transformers_encodes_it(towers: Encoders, theirs: Any) -> None:
    """One clip: transformers has no clips, and takes one token more than vLLM and the valid frames give."""
    samples = tone(2.0)
    (ours,) = towers.recordings([samples])
    assert towers.sound is not None
    features, lengths = log_mel([samples], towers.sound)
    padded = torch.nn.functional.pad(features, (0, 0, 0, 1))
    mask = torch.arange(padded.shape[1])[None] < lengths[:, None]
    with torch.no_grad():
        other = theirs.get_audio_features(padded, mask).pooler_output
    assert len(ours) == 25 and len(other) == 26
    torch.testing.assert_close(ours, other[:25], **CLOSE)


def test_a_whole_prompt_as_transformers_reads_it(whole: Loaded, towers: Encoders, theirs: Any, folder: Path) -> None:
    """Two pictures, a recording and text in one prompt: the next token's logits, and greedy tokens after it."""
    ids = Tokenizer(folder, whole.config).special
    pictures = pictures_of((64, 64), (100, 60), seed=1)
    grids = picture_grids([(64, 64), (100, 60)], towers.vision)
    first, second = towers.pictures(pictures, grids)
    samples = tone(1.6)
    (heard,) = towers.recordings([samples])
    pieces: list[layout.Piece] = [
        [10, 40, 41],
        *layout.picture(first, ids),
        *layout.picture(second, ids),
        *layout.sound(heard, ids),
        [50, 60, 70, 11, 10, 80],
    ]
    prompt = layout.assemble(pieces, ids)
    patches = flat_patches(pictures, grids, towers)
    assert towers.sound is not None
    features, _ = log_mel([samples], towers.sound)
    inputs = {
        "pixel_values": patches,
        "image_grid_hw": torch.tensor([list(grid) for grid in grids]),
        "input_features": features,  # without a mask, so that it takes no token too many
    }
    model, found = whole.model, []
    with torch.inference_mode():
        expected = theirs(prompt.ids[None], **inputs, logits_to_keep=1).logits[0, -1]
        told = theirs.generate(prompt.ids[None], **inputs, max_new_tokens=12, do_sample=False, eos_token_id=None)
        cache = model.new_cache(1, 512)
        logits = model.prefill(prompt.embedded(model.embed), cache)
        torch.testing.assert_close(logits, expected, **LOGITS)
        for _ in range(12):
            token = logits.argmax().view(1)
            found.append(int(token))
            logits = model.step(token, cache)[0]
            cache.stepped()
    assert found == told[0, len(prompt.ids) :].tolist()


def test_pictures_do_not_depend_on_their_order_or_number(towers: Encoders) -> None:
    pictures = pictures_of((64, 64), (200, 90), (33, 140), seed=2)
    grids = picture_grids([(p.shape[1], p.shape[0]) for p in pictures], towers.vision)
    forward = towers.pictures(pictures, grids)
    backward = towers.pictures(pictures[::-1], grids[::-1])[::-1]
    for one, two in zip(forward, backward, strict=True):
        torch.testing.assert_close(one, two, **CLOSE)


def test_small_passes_give_the_same(towers: Encoders, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures, film, sound = pictures_of((64, 64), (200, 90), seed=3), film_of(9), [tone(3.0), tone(0.5), tone(1.0)]
    grids = picture_grids([(64, 64), (200, 90)], towers.vision)
    before = [*towers.pictures(pictures, grids), *towers.film(film)[0], *towers.recordings(sound)]
    monkeypatch.setattr(encoders, "PATCHES_AT_ONCE", 30)
    monkeypatch.setattr(encoders, "CLIPS_AT_ONCE", 2)
    monkeypatch.setattr(video, "FRAMES_AT_ONCE", 3)
    after = [*towers.pictures(pictures, grids), *towers.film(film)[0], *towers.recordings(sound)]
    for one, two in zip(before, after, strict=True):
        torch.testing.assert_close(one, two, **CLOSE)


def test_videos_of_several_sizes_prune_each_for_itself(towers: Encoders) -> None:
    """A wide, a tall and a single-frame video at three rates: counts known beforehand, what stays is what it was."""
    for width, height, frames, rate in [(96, 64, 12, 0.5), (64, 160, 7, 0.8), (64, 64, 1, 0.9)]:
        whole_film, _ = towers.film(film_of(frames, width, height))
        kept, saving = towers.film(film_of(frames, width, height), rate)
        tubelets, places = len(whole_film), len(whole_film[0])
        assert (saving.before, saving.after) == (tubelets * places, evs.kept_tokens(tubelets, places, rate))
        mask = evs.keep_mask(torch.stack(whole_film), rate)
        for part, all_of_it, stays in zip(kept, whole_film, mask, strict=True):
            torch.testing.assert_close(part, all_of_it[stays], **CLOSE)


def test_a_long_recording_is_its_clips_one_after_another(towers: Encoders) -> None:
    samples = tone(65.0)
    (tokens,) = towers.recordings([samples])
    assert towers.sound is not None
    assert len(tokens) == sound_tokens(len(samples), towers.sound) == 375 + 375 + 63
    apart = [towers.recordings([clip])[0] for clip in clips(samples, towers.sound)]
    torch.testing.assert_close(tokens, torch.cat(apart), **CLOSE)


def test_frames_are_read_once_and_only_as_needed(towers: Encoders) -> None:
    film = film_of(40)
    given = Film(iter(list(film.frames)), film.width, film.height, film.indices, film.fps)
    tokens, _ = towers.film(given)
    assert len(tokens) == 20
    with pytest.raises(EngineError, match="40 frames gave 0 tubelets of 20"):
        towers.film(given)


def test_a_video_with_its_sound_is_read_half_kept(whole: Loaded, towers: Encoders, folder: Path) -> None:
    """Template, captions, pruned tubelets, sound and text in one prompt; every count is known before it is encoded."""
    tokenizer = Tokenizer(folder, whole.config)
    film, samples = film_of(7), tone(3.5)
    kept, saving = towers.film(film, 0.5)
    (heard,) = towers.recordings([samples])
    captions = [tokenizer.encode(text) for text in video.captions(film.indices, film.fps, towers.vision)]
    medium = [*layout.video(kept, captions, tokenizer.special), *layout.sound(heard, tokenizer.special)]
    content = layout.stand_in(0) + layout.stand_in(1)
    text = tokenizer.template.render(messages=[{"role": "user", "content": content}], add_generation_prompt=True)
    prompt = layout.assemble(layout.weave(text, [medium, "What happens?"], tokenizer), tokenizer.special)
    assert saving == evs.Saving(before=24, after=12)
    assert len(prompt.places) == 12 + 44
    plain = tokenizer.encode(text.replace(content, "What happens?"))
    assert len(prompt.ids) == len(plain) + sum(map(len, captions)) + 2 * len(captions) + 2 + len(prompt.places)
    logits = whole.model.prefill(prompt.embedded(whole.model.embed), whole.model.new_cache(1, 512))
    assert logits.isfinite().all()


@pytest.mark.parametrize(
    ("part", "job"),
    [
        ("vision_model.radio_model.model.", lambda towers: towers.pictures(pictures_of((64, 64)), [Grid(4, 4)])),
        ("vision_model.radio_model.model.", lambda towers: towers.film(film_of(2))),
        ("sound_encoder.encoder.", lambda towers: towers.recordings([tone(0.5)])),
    ],
)
def test_too_little_memory_is_a_clear_error_and_nothing_is_lost(
    towers: Encoders, monkeypatch: pytest.MonkeyPatch, part: str, job: Any
) -> None:
    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patched:
        patched.setitem(towers.parts, part, full)
        with pytest.raises(EngineError, match="too little free memory to"):
            job(towers)
    assert job(towers)


def test_bfloat16_runs_through_and_says_nearly_the_same(folder: Path, towers: Encoders) -> None:
    """The released type. Its 8 bits give about 1 % through two layers; what is compared is direction and size."""
    half = load(folder, device="cpu", dtype=torch.bfloat16, media=True).encoders
    assert half is not None
    pictures, grids, sound = pictures_of((64, 64), (200, 90), seed=4), [Grid(4, 4), Grid(6, 10)], [tone(2.0), tone(0.3)]
    made = [
        torch.cat([*some.pictures(pictures, grids), *some.film(film_of(4))[0], *some.recordings(sound)])
        for some in (towers, half)
    ]
    assert made[1].dtype == torch.bfloat16
    similar = torch.nn.functional.cosine_similarity(made[0], made[1].float(), dim=-1)
    assert float(similar.min()) > 0.995
    torch.testing.assert_close(made[1].float().norm(), made[0].norm(), rtol=0.02, atol=0)
