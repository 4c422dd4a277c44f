"""`lockkeeper version` and `lockkeeper completion`: what the program says of itself."""

import argparse
import platform
from typing import Any, Final

from lockkeeper import __version__

EXAMPLES = """examples:
  lockkeeper version
  source <(lockkeeper completion bash)
  lockkeeper completion zsh > "${fpath[1]}/_lockkeeper"

Completion knows commands and options, and asks the cluster for the names of Workflows that wait, in the
namespace, context and kubeconfig that the line names."""
_SHELLS: Final = ("bash", "zsh", "tcsh")
_COMPLETION: Final = "completion"
_NAMES: Final = "_lockkeeper_workflows"
_PREAMBLE: Final = {
    "bash": f"""
{_NAMES}() {{
  local i asked=()
  for ((i = 1; i + 1 < ${{#COMP_WORDS[@]}}; i++)); do
    case ${{COMP_WORDS[i]}} in
      -n|--namespace|--context|--kubeconfig) asked+=("${{COMP_WORDS[i]}}" "${{COMP_WORDS[i + 1]}}") ;;
    esac
  done
  compgen -W "$(lockkeeper queue -o name "${{asked[@]}}" 2>/dev/null | sed 's|^workflow/||')" -- "$1"
}}
""",
    "zsh": f"""
{_NAMES}() {{
  local i asked=()
  for ((i = 1; i < $#words; i++)); do
    case $words[i] in
      -n|--namespace|--context|--kubeconfig) asked+=("$words[i]" "$words[i + 1]") ;;
    esac
  done
  compadd -- $(lockkeeper queue -o name "${{asked[@]}}" 2>/dev/null | sed 's|^workflow/||')
}}
""",
    "tcsh": "",
}
_COMPLETE: Final = {"bash": _NAMES, "zsh": _NAMES, "tcsh": "`lockkeeper queue -o name`"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the shell of `completion`; `version` has no options."""
    if parser.prog.endswith(_COMPLETION):
        parser.add_argument("shell", choices=_SHELLS, help="the shell that the script is for")


def run(arguments: argparse.Namespace) -> int:
    """Print the version, or the script; `whole` is the parser of all commands, which `completion` gets."""
    if not hasattr(arguments, "shell"):
        print(f"lockkeeper {__version__} (Python {platform.python_version()})")
        return 0
    import shtab  # noqa: PLC0415 - only this needs it

    whole: argparse.ArgumentParser = arguments.whole
    _ask_for_names(whole)
    preamble: Any = _PREAMBLE  # By shell, which its types do not say.
    print(shtab.complete(whole, shell=arguments.shell, preamble=preamble))
    return 0


def _ask_for_names(parser: argparse.ArgumentParser) -> None:
    """Mark the arguments that are names of Workflows, in all commands."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to its actions
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - as above
            for each in action.choices.values():
                _ask_for_names(each)
        elif not action.option_strings and action.dest in ("name", "target"):
            action.complete = _COMPLETE  # type: ignore[attr-defined]  # shtab reads it there
