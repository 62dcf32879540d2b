#!/usr/bin/env bash
# Voices: LJSpeech, kathleen, LibriTTS and kerstin together, for a vocoder of any speaker. Choices: corpus.yaml.
here="$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && exec "$here/../../tools/run.sh" "$here" "$@"
