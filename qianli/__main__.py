"""The console script. Results are JSON on stdout; errors are one line on stderr and a non-zero exit."""

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Sequence

import qianli.commands
from vitals.errors import QianliError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; only its own module is imported, so that each starts fast."""
    words = list(sys.argv[1:] if argv is None else argv)
    names = sorted(entry.name for entry in pkgutil.iter_modules(qianli.commands.__path__))
    parser = argparse.ArgumentParser(
        prog="qianli", description="千里 Qianli: telemedicine and remote monitoring"
    )
    parser.add_argument("command", choices=names, help="`qianli COMMAND --help` tells more")
    command = parser.parse_args(words[:1]).command
    try:
        module = importlib.import_module(f"qianli.commands.{command}")
        own_parser = argparse.ArgumentParser(prog=f"qianli {command}", description=module.HELP)
        module.configure(own_parser)
        code: int = module.run(own_parser.parse_args(words[1:]))
    except QianliError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 141
    return code


if __name__ == "__main__":
    sys.exit(main())
