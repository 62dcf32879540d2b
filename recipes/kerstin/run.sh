#!/usr/bin/env bash
# Kerstin: one German speaker, a corpus in LJSpeech layout. Choices: corpus.yaml.
here="$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && exec "$here/../../tools/run.sh" "$here" "$@"
