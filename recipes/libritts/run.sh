#!/usr/bin/env bash
# LibriTTS and LibriTTS-R: many English speakers, 24 kHz. Choices: corpus.yaml.
here="$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && exec "$here/../../tools/run.sh" "$here" "$@"
