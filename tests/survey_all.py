"""Run by test_hostile_media.py as one booth for many files: survey each, and say what came of it."""

import json
import os
import sys
from pathlib import Path

from asrwatch.audio.booth.opening import RefusedError
from asrwatch.audio.booth.surveying import survey
from asrwatch.audio.orders import RATE, Survey, samples
from asrwatch.audio.studio import EVERY_DEMUXER
from asrwatch.journey.preparing import LONGEST


def main() -> None:
    """What each file of the folder comes to, as JSON."""
    told = {}
    for path in sorted(Path(sys.argv[1]).iterdir()):
        descriptor = os.open(path, os.O_RDONLY)
        order = Survey(demuxers=EVERY_DEMUXER, longest=samples(LONGEST))
        try:
            heard = survey(descriptor, order, tell=lambda _: None)
        except RefusedError as error:
            told[path.name] = error.code
        else:
            told[path.name] = f"{heard.samples / RATE:.1f} s"
        finally:
            os.close(descriptor)
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
