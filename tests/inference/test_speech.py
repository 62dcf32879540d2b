"""Text to speech with a network of random weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_speech import BY_A_MEL, BY_A_PITCH, THROUGH_A_MEL, TINY, VOICES, tiny_speech
from tiny_vocoder import SPECTRAL, int8_of_any_size
from torch import Tensor

from wg.diffusion.consistency import Consistency
from wg.errors import InputError
from wg.inference.model import SamplingConfig
from wg.inference.text_to_speech import (
    FADE_S,
    PAUSE_S,
    Sentence,
    Speech,
    TextToSpeech,
    Voice,
    join,
)
from wg.inference.vocoder import Vocoder
from wg.mel.bank import weights
from wg.models import build_network
from wg.models.wavegrad2 import WaveGrad2Config
from wg.processes.devices import computes_in_int8
from wg.text.symbols import VERSION

ANNA, BERT = Voice("anna", seed=1), Voice("bert", seed=2)
LONG, SHORT = ("sil", "HH", "AH0", "L", "OW1", "eos"), ("sil", "AY1", "eos")


@pytest.fixture(scope="module")
def voices() -> TextToSpeech:
    return tiny_speech(VOICES)


@pytest.fixture(scope="module")
def single() -> TextToSpeech:
    return tiny_speech()


def test_an_utterance_sounds_the_same_alone_and_in_a_batch(voices: TextToSpeech) -> None:
    both = [Sentence(LONG, ANNA), Sentence(SHORT, BERT)]
    together = voices.utter(both)
    assert len(together[0].wave) > len(together[1].wave) > 64
    for utterance, speech in zip(both, together, strict=True):
        (alone,) = voices.utter([utterance])
        torch.testing.assert_close(alone.wave, speech.wave, atol=1e-4, rtol=0)
        torch.testing.assert_close(alone.durations, speech.durations)


@pytest.mark.parametrize("precision", ["bf16", "int8"])
@pytest.mark.parametrize(
    "config",
    [TINY, VOICES, replace(VOICES, zoneout=0.0), THROUGH_A_MEL, BY_A_PITCH],
    ids=["one", "voices", "no zoneout", "spectral", "pitch"],
)
def test_it_speaks_in_fewer_bits(
    config: WaveGrad2Config, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if precision == "int8" and not computes_in_int8():
        pytest.skip("a CPU without products in 8 bits")
    int8_of_any_size(monkeypatch)
    sentence = Sentence(LONG, ANNA if config.speakers else Voice())
    (single,) = tiny_speech(config).utter([sentence])
    (speech,) = tiny_speech(config).bfloat16().utter([sentence])
    if precision == "int8":
        # Durations come from the encoder, which has no such layers, so they are as in bfloat16.
        (wanted,), short = (speech,), tiny_speech(config).bfloat16().optimize("int8")
        (speech,) = short.utter([sentence])
        assert len(speech.wave) == len(wanted.wave) and not torch.equal(speech.wave, wanted.wave)
    assert speech.wave.isfinite().all() and speech.wave.any()
    # A recurrence in 16 bits would lose more.
    torch.testing.assert_close(
        speech.durations.float(), single.durations.float(), atol=0.1, rtol=0.05
    )


@pytest.mark.parametrize(
    "config", [BY_A_MEL, THROUGH_A_MEL, BY_A_PITCH], ids=["wavegrad", "spectral", "pitch"]
)
def test_an_utterance_by_a_predicted_mel_sounds_the_same_alone(config: WaveGrad2Config) -> None:
    model = tiny_speech(config)
    both = [Sentence(LONG, Voice(seed=1)), Sentence(SHORT, Voice(seed=2))]
    together = model.utter(both)
    assert len(together[0].wave) > len(together[1].wave) > 64
    for utterance, speech in zip(both, together, strict=True):
        (alone,) = model.utter([utterance])
        torch.testing.assert_close(alone.wave, speech.wave, atol=1e-4, rtol=0)


def test_through_a_mel_it_speaks_as_a_vocoder_of_the_same_weights_does() -> None:
    model = tiny_speech(THROUGH_A_MEL)
    utterance = Sentence(LONG, Voice(seed=5))
    mel = model.denoiser.condition(model._batch([utterance])).mel
    network = build_network(SPECTRAL, model.mel_spec, model.diffusion)
    weights = model.network.state_dict()
    network.load_state_dict(
        {
            key.removeprefix("decoder."): value
            for key, value in weights.items()
            if key.startswith(("decoder.", "mel_power."))
        }
    )
    vocoder = Vocoder(network, SPECTRAL, model.mel_spec, model.diffusion, model.synthesis)
    assert mel is not None
    (speech,) = model.utter([utterance])
    torch.testing.assert_close(speech.wave, vocoder(mel[0], seed=5), atol=1e-5, rtol=0)


def test_consistency_is_refused_of_a_model_without_a_mel(single: TextToSpeech) -> None:
    consistent = SamplingConfig("3", consistency=Consistency(4))
    with pytest.raises(InputError, match="has no mel to be consistent with"):
        single("Hello.", synthesis=consistent)


def test_given_durations_are_kept_to_the_frame(single: TextToSpeech) -> None:
    (speech,) = single.utter([Sentence(SHORT, Voice(pace=2.0), durations=(2, 5, 4))])
    assert len(speech.wave) == 11 * 64 and speech.durations.tolist() == [2, 5, 4]


def test_twice_the_pace_takes_half_the_time(single: TextToSpeech) -> None:
    lengths = [len(single("Hello there.", Voice(pace=pace))) for pace in (1.0, 2.0)]
    assert lengths[0] / 2 == pytest.approx(lengths[1], abs=64)


def test_a_pitch_can_be_raised_where_the_model_predicts_one(single: TextToSpeech) -> None:
    model = tiny_speech(BY_A_PITCH)
    plain, higher = (model("Hello there.", Voice(pitch=factor)) for factor in (1.0, 1.3))
    assert len(plain) == len(higher) and not torch.allclose(plain, higher)
    with pytest.raises(InputError, match="does not predict its pitch"):
        single("Hello.", Voice(pitch=1.3))
    with pytest.raises(InputError, match="pitch 0; give 0.25 to 4"):
        Voice(pitch=0.0)


def test_seed_speaker_and_text_decide_what_is_heard(voices: TextToSpeech) -> None:
    wave = voices("Hello.", ANNA)
    assert torch.equal(wave, voices("Hello.", ANNA))
    assert not torch.equal(wave, voices("Hello.", replace(ANNA, seed=9)))
    for text, voice in (("Hello.", replace(ANNA, speaker="bert")), ("Goodbye.", ANNA)):
        other = voices(text, voice)
        assert len(other) != len(wave) or not torch.equal(other, wave)


def test_phonemes_in_braces_and_a_lexicon_say_what_the_word_does(single: TextToSpeech) -> None:
    spelt = single("{HH AH0 L OW1}.")
    torch.testing.assert_close(single("Hello."), spelt)
    single.lexicon = {"xqzt": ("HH", "AH0", "L", "OW1")}
    torch.testing.assert_close(single("Xqzt."), spelt)
    single.lexicon = {}


def test_long_text_is_spoken_by_sentences_in_any_batch(single: TextToSpeech) -> None:
    text = "I saw it. Did you see it? ... We did!"
    assert len(single.sentences(text, Voice())) == 3
    whole = single.read([text, "Hello."], Voice(), batch_size=8)
    by_one = single.read([text, "Hello."], Voice(), batch_size=1)
    for one, other in zip(whole, by_one, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=0)
    torch.testing.assert_close(single("Hello."), whole[1], atol=1e-4, rtol=0)


def test_each_waveform_comes_as_soon_as_it_is_spoken(
    single: TextToSpeech, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoken: list[int] = []
    utter = single.utter

    def counted(utterances: Sequence[Sentence], synthesis: SamplingConfig | None) -> list[Speech]:
        spoken.append(len(utterances))
        return utter(utterances, synthesis)

    monkeypatch.setattr(single, "utter", counted)
    texts = ["I saw it. Did you?", "Hello.", "We did. I did. You did."]
    lengths = []
    for wave in single.read_each(texts, Voice(), batch_size=2):
        lengths.append((len(wave), sum(spoken)))
    assert [done for _, done in lengths] == [2, 4, 6]
    assert [length for length, _ in lengths] == [len(wave) for wave in single.read(texts, Voice())]
    with pytest.raises(InputError, match="has no word"):
        next(single.read_each(["Hello.", "!"], Voice()))


def test_sentences_are_joined_without_a_jump() -> None:
    first, second = torch.ones(800), -torch.ones(1600)
    made = join([first, second], 8000)
    fade, pause = round(FADE_S * 8000), round(PAUSE_S * 8000)
    assert len(made) == 2400 + pause
    assert made.diff().abs().max() < 2 * 1.6 / fade  # a raised cosine's steepest step
    assert not made[800 : 800 + pause].any() and made[0] == made[-1] == 0
    assert torch.equal(made[fade : 800 - fade], first[fade : 800 - fade])
    assert torch.equal(first, torch.ones(800))


def test_a_sentence_of_a_single_sample_is_joined_too() -> None:
    assert len(join([torch.ones(1)], 8000)) == 1


def test_saving_and_loading_changes_nothing(voices: TextToSpeech, tmp_path: Path) -> None:
    voices.save_pretrained(tmp_path / "speech", "card")
    loaded = TextToSpeech.from_pretrained(tmp_path / "speech")
    assert loaded.model == voices.model
    assert torch.equal(loaded("Hello.", BERT), voices("Hello.", BERT))
    with pytest.raises(InputError, match="reads text: use wg speak"):
        Vocoder.from_pretrained(tmp_path / "speech")


def test_a_process_can_begin_with_loading_a_model_that_has_a_filterbank(tmp_path: Path) -> None:
    made = tiny_speech(BY_A_PITCH)
    made.save_pretrained(tmp_path / "speech", "card")
    weights.cache_clear()  # as in a new process
    loaded = TextToSpeech.from_pretrained(tmp_path / "speech")
    assert torch.equal(loaded("Hello."), made("Hello."))


def test_symbols_are_found_by_name_in_the_table_of_the_model(single: TextToSpeech) -> None:
    order = torch.randperm(len(TINY.symbols), generator=torch.Generator().manual_seed(0))
    shuffled = tiny_speech(replace(TINY, symbols=tuple(TINY.symbols[place] for place in order)))
    shuffled.network.load_state_dict(single.network.state_dict())
    embedding: Tensor = single.network.encoder.embedding.weight  # pyright: ignore
    shuffled.network.encoder.embedding.weight.data = embedding[order].clone()  # pyright: ignore
    assert torch.equal(shuffled("Hello."), single("Hello."))


@pytest.mark.parametrize("text", ["", "  \n", "...", "\N{GRINNING FACE}", "\0", "{}", "{HH ZZ}"])
def test_what_cannot_be_spoken_is_refused(single: TextToSpeech, text: str) -> None:
    with pytest.raises(InputError):
        single(text)


def test_symbols_that_mean_something_else_are_refused(single: TextToSpeech, tmp_path: Path) -> None:
    single.save_pretrained(tmp_path / "speech", "card")
    path = tmp_path / "speech" / "config.json"
    content = json.loads(path.read_text())
    assert content["model"]["symbols_version"] == VERSION
    content["model"]["symbols_version"] = VERSION + 1
    path.write_text(json.dumps(content))
    with pytest.raises(
        InputError, match=r"model\.symbols_version is 2; this wg reads .* version 1"
    ):
        TextToSpeech.from_pretrained(tmp_path / "speech")


def test_an_unknown_symbol_is_named(single: TextToSpeech) -> None:
    older = tiny_speech(replace(TINY, symbols=tuple(s for s in TINY.symbols if s != "OY1")))
    with pytest.raises(InputError, match="symbol 'OY1' is unknown"):
        older("A toy.")
    with pytest.raises(InputError, match="symbol 'HA' is unknown"):
        single.utter([Sentence(("sil", "HA"), Voice())])


def test_an_unknown_speaker_is_named(voices: TextToSpeech, single: TextToSpeech) -> None:
    with pytest.raises(InputError, match="'ana' is unknown; did you mean 'anna'"):
        voices("Hello.", Voice("ana"))
    with pytest.raises(InputError, match="needs a speaker; choose from: anna, bert"):
        voices("Hello.")
    with pytest.raises(InputError, match="speaker 'anna' given, but the model knows a single"):
        single("Hello.", ANNA)


@pytest.mark.parametrize("pace", [0.0, -1.0, 1000.0, float("nan")])
def test_an_impossible_pace_is_refused(pace: float) -> None:
    with pytest.raises(InputError, match="pace"):
        Voice(pace=pace)
